"""All GitSources: a task for each, and what starts its next pass."""

from controller.gitops.facts import Origin, SourceFacts
from controller.gitops.writeback.ports import Mirror


class Sources:
    """Keeps every GitSource in step for as long as ``run`` runs."""

    async def load(self) -> None:
        """Read what was known when the controller last ran: before anything is reconciled."""
        raise NotImplementedError

    async def run(self) -> None:
        """Keep sources in step until cancelled."""
        raise NotImplementedError

    def poke(self, namespace: str, name: str) -> bool:
        """Ask for a pass now; tell whether there is such a source. Neither waits nor raises.

        Many pokes at once are one pass.
        """
        raise NotImplementedError

    async def sync(self, namespace: str, name: str) -> bool:
        """Return True once a pass that began after this call has applied everything.

        False: it failed, the source is suspended, or there is none. Bounded by the caller.
        """
        raise NotImplementedError

    def mirror(self, namespace: str, name: str) -> Mirror | None:
        """Return the mirror that the source is fetched into, None while there is none."""
        raise NotImplementedError

    def facts(self, namespace: str, name: str) -> SourceFacts:
        """Return what is known of the source."""
        raise NotImplementedError

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        """Return where the Ticket is kept in git, None if it is kept on the API alone.

        Known also of a Ticket whose file cannot be used just now.
        """
        raise NotImplementedError

    def path_of(self, namespace: str, name: str, ticket: str) -> str | None:
        """Return the file of source *name* that the ticket was last applied from."""
        raise NotImplementedError

    def for_new_tickets(self, namespace: str) -> str | None:
        """Return the name of the GitSource that takes new tickets, None if none does.

        The oldest with writeBack.enabled and newTickets that holds Tickets and is not suspended.
        """
        raise NotImplementedError
