"""How certificates go wrong, named after the reaction.

* PkiError
  + Stalled       -- a Secret of the CA is lost or damaged: only a person can help
  + RefusedCsr    -- the signing request is not acceptable: the caller must send another one
  + RefusedCert   -- the certificate names no runner of ours: the caller must enrol
"""


class PkiError(Exception):
    """Something about a certificate is not as it must be; the text is one sentence."""


class Stalled(PkiError):  # noqa: N818 - named after the reaction, as in the kernel
    """The CA cannot be used until a person has repaired it. Nothing is replaced silently."""


class RefusedCsr(PkiError):  # noqa: N818 - named after the reaction
    """The certificate signing request cannot be signed."""


class RefusedCert(PkiError):  # noqa: N818 - named after the reaction
    """The certificate does not identify a runner."""
