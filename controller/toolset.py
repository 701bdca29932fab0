"""Makes and runs what stands behind the tools of agents: services, handlers, one toolbox."""

import asyncio
from collections.abc import Callable

from controller.kernel.events import Recorder
from controller.kernel.store import Store
from controller.kube.client import Kube
from controller.placement.fleet import Fleet
from controller.rpc.gateway import ToolServices
from controller.services.asks import Asks
from controller.services.authoriser import Authoriser
from controller.services.binding_notices import BindingNotices
from controller.services.bindings import Bindings
from controller.services.channels import Channels
from controller.services.claims import Claims
from controller.services.deliveries import Deliveries
from controller.services.pods import Pods
from controller.services.prompting import Prompting
from controller.services.ticket_files import TicketFiles
from controller.services.tickets import Tickets
from controller.store.messages import MessageStore
from controller.tools import channels as channel_tools
from controller.tools import tickets as ticket_tools
from controller.tools.bindings import BindingTools
from controller.tools.call import Handler
from controller.tools.discovery import Discovery
from controller.tools.pace import CHANNELS_PER_POD, TICKETS_PER_POD, bounded
from controller.tools.pods import PodTools
from controller.tools.terminal import Terminal
from controller.tools.toolbox import Toolbox
from schemas.channel import Channel
from schemas.ticket import Ticket


class Toolset:
    """The services behind the tools. The store holds everything when it is made."""

    def __init__(  # noqa: PLR0913 - what they share, by name
        self,
        *,
        kube: Kube,
        store: Store,
        fleet: Fleet,
        recorder: Recorder,
        messages: MessageStore,
        touched: Callable[[Channel], None],
        files: TicketFiles | None = None,
    ) -> None:
        """*touched* is called when the numbers of a channel have changed.

        Without *files* no ticket lies in git.
        """
        self._deliveries = Deliveries(store, messages, recorder)
        self._channels = Channels(store, messages, kube, self._deliveries, touched=touched)
        self._notices = BindingNotices(store, self._deliveries)
        asks = Asks(self._deliveries)
        authoriser = Authoriser(store)
        bindings = Bindings(store, kube, authoriser)
        self.claims = Claims(store, kube)
        self.tickets = Tickets(store, kube, files)
        self.handlers: dict[str, Handler] = {
            **Discovery(store, authoriser, fleet.links.about).handlers(),
            **Terminal(authoriser, asks).handlers(),
            **BindingTools(authoriser, bindings).handlers(),
            **channel_tools.handlers(self._channels),
            **ticket_tools.handlers(self.tickets, self.claims),
            **PodTools(Pods(store, kube, fleet.links), bindings).handlers(),
        }
        self.handlers |= {
            name: bounded(store, kind, most, self.handlers[name])
            for name, kind, most in (
                ("create_channel", Channel, CHANNELS_PER_POD),
                ("create_ticket", Ticket, TICKETS_PER_POD),
            )
        }
        self.services = ToolServices(
            Toolbox(store, fleet.observed, self.handlers),
            asks,
            self._channels,
            self.tickets,
            Prompting(store, messages, self._deliveries, kube),
        )

    async def run(self) -> None:
        """Deliver prompts, tell of bindings and keep the channels' retention, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deliveries.run())
            tasks.create_task(self._notices.run())
            tasks.create_task(self._channels.run())
