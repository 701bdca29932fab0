"""How the link ends badly, named after the reaction.

* LinkError
  + Refused      -- the other side, or our own caution, said no; the same again cannot help soon
  + Unreachable  -- nobody answers; trying again may help
"""


class LinkError(Exception):
    """The link could not do what was asked; the text is one sentence for people."""


class Refused(LinkError):  # noqa: N818  named after the reaction, as the tree says
    """Refused: wrong token, wrong pin, banned. Something must change before it can work."""


class Unreachable(LinkError):  # noqa: N818  named after the reaction, as the tree says
    """Nobody answered, or the answer broke off."""
