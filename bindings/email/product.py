"""``[[send_email]] name = "MAIL"``, and mail that a worker's ``email`` handler deals with.

Nothing leaves the machine: what is sent is kept in ``.eml`` files. Facts: docs/reference/bindings.md#email.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import Binding, CallError, ProductContext, Route, rest_routes
from bindings.email import MODULE
from bindings.storage.keeping import KeepingProduct
from runtime.config import Config
from runtime.errors import RequestError
from runtime.web import Request, Response

if TYPE_CHECKING:
    from bindings.email.posting import Post
    from bindings.email.store import Mailbox
    from bindings.storage.resources import Resources

URLS = ("/cdn-cgi/local/email", "/cdn-cgi/handler/email")
BODY_LIMIT = 26 * 1024 * 1024  # bytes of a request that brings a message
_SHARED = "email"  # of ProductContext.shared: the worker that mail is for, and what is dealt with now
_MAX_SENDING = 4  # messages of one binding that are in memory; the others wait


class SendEmailTable(msgspec.Struct, frozen=True):
    """One of ``[[send_email]]``."""

    name: str
    destination_address: str | None = None
    allowed_destination_addresses: list[str] | None = None
    allowed_sender_addresses: list[str] | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None


class Email(KeepingProduct):
    """One resource is a worker's mailbox."""

    key, label, shape = "send_email", "Email", list[SendEmailTable]
    fronts = "calls"
    paths = ("/client/v4/", "/cdn-cgi/")
    worker_type = "bindings.email.env:SendEmail"
    folder, resource = "email", "bindings.email.store:Mailbox"
    types = ("send_email",)
    explorer = "explorer.js"

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            if table.remote or table.experimental_remote:
                what = f"env.{table.name} is remote, and Pilotlight keeps everything local"
                raise config.error(cls.key, what, number, remedy="Remove:  remote = true")
            if table.destination_address is not None and table.allowed_destination_addresses is not None:
                what = "has both destination_address and allowed_destination_addresses"
                raise config.error(cls.key, what, number, remedy="Keep one of them.")

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if context.leads(config):
            context.shared[_SHARED] = config.name
        sending = [SendEmailBinding(table, config.name, context) for table in _tables(config)]
        return [*sending, EmailModule(config.name, context)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        tables = [msgspec.to_builtins(table) for table in _tables(config)]
        return [
            {"type": "send_email", **{name: value for name, value in table.items() if value is not None}}
            for table in tables
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        fields = SendEmailTable.__struct_fields__
        tables = [{name: item[name] for name in fields if item.get(name) is not None} for item in uploaded]
        try:
            msgspec.convert(tables, list[SendEmailTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a send_email binding: {error}") from None
        return tables

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [config.name]

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> bool:
        return await mailboxes(context).remove(id)

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        kept = rest_routes("email/kept", "bindings.email.rest:api", context)
        if context.on_host:
            return kept
        return [*kept, *(Route("POST", path, partial(_receive, context), body_limit=BODY_LIMIT) for path in URLS)]


class SendEmailBinding:
    """The host's half, whose other modules are imported at the first call."""

    client = "bindings.email.worker:SendEmail"
    client_args: Mapping[str, Any] = {}

    def __init__(self, table: SendEmailTable, worker: str, context: ProductContext) -> None:
        self.name, self._table, self._worker, self._context = table.name, table, worker, context
        self._sending: asyncio.Semaphore | None = None

    @property
    def explored(self) -> Mapping[str, object]:
        return {"worker": self._worker}

    def describe(self) -> tuple[str, str]:
        to = self._table.destination_address or ", ".join(self._table.allowed_destination_addresses or ())
        return "email", f"kept here, to {to}" if to else "kept here"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        from bindings.email.posting import send, send_built
        from bindings.email.rules import Allowed

        table, post = self._table, _post(self._context, self._worker)
        allowed = Allowed(
            table.destination_address, _set(table.allowed_destination_addresses), _set(table.allowed_sender_addresses)
        )
        self._sending = self._sending or asyncio.Semaphore(_MAX_SENDING)
        async with self._sending:
            if method == "send" and len(args) == 3:
                return await send(post, allowed, *args)
            if method == "build" and len(args) == 1:
                return await send_built(post, allowed, args[0])
        raise CallError("TypeError", f"env.{self.name}.{method} is not a function")


class EmailModule:
    """The host's half of ``cloudflare:email``: what a message that came in is asked to do."""

    name, client = MODULE, "bindings.email.message:module"
    client_args: Mapping[str, Any] = {}

    def __init__(self, worker: str, context: ProductContext) -> None:
        self._worker, self._context = worker, context

    def describe(self) -> tuple[str, str]:
        return "module", "cloudflare:email"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        from bindings.email.incoming import act

        token, *rest = args or [None]
        incoming = _waiting(self._context).get((self._worker, str(token)))
        return await act(_post(self._context, self._worker), incoming, method, rest)


async def _receive(context: ProductContext, request: Request) -> Response:
    from bindings.email.incoming import receive

    worker = context.shared[_SHARED]
    return await receive(context, worker, _post(context, worker), _waiting(context), request)


def mailboxes(context: ProductContext) -> Resources[Mailbox]:
    """Those of this supervisor, by worker."""
    return Email.resources(context)


def _post(context: ProductContext, worker: str) -> Post:
    from bindings.email.posting import Post

    return Post(context, worker, mailboxes(context).get(worker))


def _waiting(context: ProductContext) -> Any:
    return context.shared.setdefault("email received", {})


def _tables(config: Config) -> Sequence[SendEmailTable]:
    return config.tables(Email.key, SendEmailTable)


def _set(addresses: Sequence[str] | None) -> frozenset[str] | None:
    return None if addresses is None else frozenset(addresses)


__all__ = ["URLS", "Email", "SendEmailTable", "mailboxes"]
