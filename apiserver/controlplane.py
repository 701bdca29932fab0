"""Everything behind HTTP: the store, the controllers and the application, put together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from apiserver import bootstrap
from apiserver.app import Application, Parts
from apiserver.auth.authenticator import Authenticator
from apiserver.auth.jwts import ServiceAccountTokens
from apiserver.auth.rbac import Authorizer
from apiserver.auth.reviews import Reviews
from apiserver.auth.tokenfile import TokenFile
from apiserver.controllers.aggregation import Aggregation
from apiserver.controllers.definitions import Definitions
from apiserver.controllers.expiry import Expiry
from apiserver.controllers.garbage import Garbage
from apiserver.controllers.namespaces import Namespaces
from apiserver.controllers.quotas import Quotas
from apiserver.kinds import builtin
from apiserver.kinds.registry import Registry
from apiserver.rest.discovery import Discovery
from apiserver.rest.writing import Desk
from apiserver.schema_documents import Documents
from apiserver.store.store import Store


class ControlPlane:
    """The API of one data directory; `start`, then `run` until cancelled, then `stop`."""

    def __init__(self, directory: Path) -> None:
        """Open the files below *directory*, making those that are missing.

        Raises:
            OSError, sqlite3.Error, ValueError: One of them cannot be used.
        """
        tokens = TokenFile(directory / "tokens.csv")
        self.admin_token = tokens.admin_token
        """Token of the administrator."""
        self.store = Store(directory / "store.db")
        accounts = ServiceAccountTokens(directory / "serviceaccount.key", self.store)
        registry = Registry(builtin.resources())
        authorizer = Authorizer(self.store)
        authenticator = Authenticator(tokens, accounts)
        desk = Desk(self.store, registry, authorizer)
        self._controllers = (
            Definitions(desk),
            Namespaces(desk),
            Garbage(desk),
            Aggregation(self.store),
            Quotas(self.store, registry),
        )
        parts = Parts(
            desk=desk,
            authenticator=authenticator,
            authorizer=authorizer,
            tokens=accounts,
            discovery=Discovery(registry),
            reviews=Reviews(authenticator, authorizer),
            documents=Documents(registry),
        )
        self.app = Application(parts)
        """The ASGI application."""

    async def start(self) -> None:
        """Accept writes; make sure of what every server has; serve what CRDs define."""
        self.store.start()
        await bootstrap.ensure(self.store)
        for controller in self._controllers:
            controller.load()

    async def run(self) -> None:
        """Let the controllers work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for controller in self._controllers:
                tasks.create_task(controller.run())
            tasks.create_task(Expiry(self.store).run())
            tasks.create_task(self.store.run())

    async def stop(self) -> None:
        """Make durable what was accepted; end the watches."""
        await self.store.stop()
