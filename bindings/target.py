"""Whom a command of a product speaks to: the state folder of the worker here, or a host. The REST API in both cases.

    @kv.command("get")
    @with_target
    def get(where): where.run(local_api, use)         # async def use(target): ... await target.call("GET", path)

A local target asks the product's own ``Api`` in this process, on the same files as a running ``pilot dev``; a remote
one asks a host over HTTP. So each command is written once, and does the same to either.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote

import click
import msgspec

from bindings.rest import Api
from runtime.config import Config, load
from runtime.deploy.api import Host
from runtime.errors import UserError
from runtime.places import state_folder
from runtime.web import Request

T = TypeVar("T")
Body = bytes | AsyncIterator[bytes] | None
_ROOT = "/client/v4/accounts/host/"
_TIMEOUT_S = 600.0  # for one answer to begin
_LARGE_BYTES = 10_000_000


class Answer(NamedTuple):
    """Of any status; ``chunks`` is its body."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    chunks: AsyncIterator[bytes]

    @property
    def size(self) -> int | None:
        """Bytes, where that is said."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdigit() else None

    async def bytes(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks])


class Sender(Protocol):
    """``path`` is below the account, with its query; percent-encoded."""

    async def send(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer: ...

    async def aclose(self) -> None: ...


class Opened(Protocol):
    """What a product keeps, opened for one command: ``bindings.storage.resources.Resources``."""

    async def aclose(self) -> None: ...


LocalApi = Callable[[Path], tuple[Api, Opened]]  # of a state folder


@dataclass(frozen=True)
class Target:
    """``name`` is for messages: a folder or a URL."""

    name: str
    is_local: bool
    sender: Sender
    where: Where

    async def send(self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Raises UserError where nobody answers."""
        return await self.sender.send(method, path, body, headers or {})

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The result of a call with a body of JSON. Raises UserError with what is answered."""
        return (await self.envelope(method, path, body))["result"]

    async def envelope(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The same, with what stands beside the result."""
        content = None if body is None else msgspec.json.encode(body)
        answer = await self.send(method, path, content, {"content-type": "application/json"})
        return await self.opened(answer)

    async def opened(self, answer: Answer) -> dict[str, Any]:
        """The envelope of an answer. Raises UserError for an error."""
        content = await answer.bytes()
        try:
            found = msgspec.json.decode(content, type=dict[str, Any])
            if found["success"]:
                return found
            what = "\n".join(error["message"] for error in found["errors"])
            remedy = f"What can be asked for:  {click.get_current_context().command_path} --help"
        except (msgspec.MsgspecError, KeyError, TypeError):
            what = f"answered {answer.status}: {content[:200].decode('utf-8', 'replace')}"
            remedy = "That is no answer of a Pilotlight host's. Name one:  --host URL"
        raise UserError(what, where=self.name, remedy=remedy)


@dataclass(frozen=True)
class Where:
    """The options that say which target is meant. ``local``: how this product's is opened."""

    config_path: Path | None
    environment: str | None
    persist_to: Path | None
    host: str | None
    as_json: bool

    @functools.cached_property
    def config(self) -> Config:
        """The worker's. Raises ConfigError."""
        return load(self.config_path, environment=self.environment)

    def say(self, text: str) -> None:
        """To a person alone."""
        if not self.as_json:
            click.echo(text)

    def tell(self, value: object, text: str = "") -> None:
        """What has been done: JSON where that was asked for, else the text, if there is one."""
        if self.as_json:
            print_json(value)
        elif text:
            click.echo(text)

    @contextmanager
    def bar(self, size: int | None) -> Iterator[Callable[[int], object]]:
        """A progress bar for a person, where so many bytes take their time. What is yielded is told of each piece."""
        hidden = self.as_json or not sys.stderr.isatty() or (size or 0) < _LARGE_BYTES
        with click.progressbar(length=size or 0, file=sys.stderr, hidden=hidden) as shown:
            yield shown.update

    def run(self, local: LocalApi, use: Callable[[Target], Awaitable[T]]) -> T:
        """What ``use(target)`` gives. Raises UserError."""

        async def work() -> T:
            async with self._target(local) as target:
                return await use(target)

        return asyncio.run(work())

    @asynccontextmanager
    async def _target(self, local: LocalApi) -> AsyncIterator[Target]:
        sender: Sender
        if self.host is not None:
            host = Host.chosen(self.host or None)
            sender, name = _Remote(host), host.url
        else:
            state = state_folder(self.config.root, self.persist_to)
            sender, name = _Local(*local(state)), str(state)
        try:
            yield Target(name, self.host is None, sender, self)
        finally:
            await sender.aclose()


class _Local:
    def __init__(self, api: Api, opened: Opened) -> None:
        self._api, self._opened = api, opened

    async def send(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        request = Request(f"http://localhost{_ROOT}{path}", method=method, body=body, headers=dict(headers))
        below = unquote(path.partition("?")[0]).removeprefix(self._api.prefix)
        response = await self._api(request, below)
        content = response.body
        chunks = _none() if content is None else aiter(content)
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, chunks)

    async def aclose(self) -> None:
        await self._opened.aclose()


class _Remote:
    def __init__(self, host: Host) -> None:
        import aiohttp  # a local command has no use for it

        self._host = host
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)

    async def send(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        import aiohttp
        from yarl import URL

        url = URL(f"{self._host.url}{_ROOT}{path}", encoded=True)
        token = {"authorization": f"Bearer {self._host.token}"} if self._host.token else {}
        try:
            response = await self._session.request(method, url, data=body, headers={**headers, **token})
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            what = f"no answer: {reason or type(error).__name__}"
            remedy = "Is the host running?  pilot host\nElse name it:  --host URL"
            raise UserError(what, where=self._host.url, remedy=remedy) from None
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, response.content.iter_chunked(256 * 1024))

    async def aclose(self) -> None:
        await self._session.close()


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``Where``, and hand it one as ``where``."""

    @functools.wraps(command)
    def wrapped(
        config: Path | None, environment: str | None, persist_to: Path | None, host: str | None, local: bool,
        remote: bool, as_json: bool, **others: object,
    ) -> None:  # fmt: skip
        if remote:
            raise click.UsageError("--remote: there is nothing remote here; --host URL names a host")
        if local and host is not None:
            raise click.UsageError("--local and --host exclude each other")
        command(where=Where(config, environment, persist_to, host, as_json), **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_OPTIONS = (
    click.option("-c", "--config", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json."),
    click.option("-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="[env.NAME] of the configuration."),
    click.option("--persist-to", type=click.Path(path_type=Path, file_okay=False), help="As of pilot dev."),
    click.option("--local", is_flag=True, help="The state of the worker here. The default."),
    click.option(
        "--host", metavar="URL", help="A host's. \"\": PILOT_HOST, or this machine's. Token: PILOT_API_TOKEN."
    ),
    click.option("--remote", is_flag=True, hidden=True),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


def print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


async def _none() -> AsyncIterator[bytes]:
    return
    yield b""  # type: ignore[unreachable]  # which makes this a generator


__all__ = ["Answer", "Body", "LocalApi", "Target", "Where", "print_json", "with_target"]
