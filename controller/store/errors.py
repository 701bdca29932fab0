"""How the message store says no.

* StoreError
  + UnavailableError       the database is in trouble; the same call may work later
    - OutcomeUnknownError  it broke while committing and has not come back: done or not done
  + NotFoundError          there is no such message or delivery
  + ChannelGoneError       the channel was forgotten; it takes nothing any more
  + KeyConflictError       the idempotency key was used for something else; has the first message
  + RevisionConflictError  the document has changed meanwhile; has the current one
  + TextError              a text that the databases cannot hold
  + OpenError              the store cannot be opened
    - NewerVersionError    a newer version of this program has written it

Each is one sentence that may be shown. None quotes a content, a parameter or the database's URL.
"""

from controller.store.records import Document, Message


class StoreError(Exception):
    """The message store did not do what it was asked for."""


class UnavailableError(StoreError):
    """The database is in trouble. Nothing was stored; asking again may help."""


class OutcomeUnknownError(UnavailableError):
    """The database went away while it committed. Asking again with the same key is safe."""


class NotFoundError(StoreError):
    """There is no such message or delivery."""


class ChannelGoneError(StoreError):
    """The channel was deleted."""


class KeyConflictError(StoreError):
    """The sender has used the idempotency key in this channel for another message."""

    def __init__(self, first: Message) -> None:
        super().__init__(
            f"this idempotency key was used for message {first.sequence} with other content:"
            " take a new key for a new message"
        )
        self.first = first


class RevisionConflictError(StoreError):
    """The document is not at the revision that the change was based on."""

    def __init__(self, current: Document, based_on: int) -> None:
        super().__init__(
            f"the document is at revision {current.revision}, not {based_on}:"
            " merge your change into the current text and try again with its revision"
        )
        self.current = current


class TextError(StoreError):
    """The text holds a character that cannot be stored, such as NUL or half a surrogate pair."""


class OpenError(StoreError):
    """The store cannot be opened; the sentence says what to do."""


class NewerVersionError(OpenError):
    """The store was written by a newer version of this program."""
