"""Outbound fetch: the supervisor asks other servers on behalf of workers. Fetch standard, section 4.

Bodies go both ways as raw chunks: nothing is decompressed and no cookie is kept here, so that an answer can
pass through to a client as it came. aiohttp is imported on the first fetch, to keep the launch short.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.supervisor.outbound.bodies import ResponseBody, StreamedBody, close, payload
from runtime.supervisor.outbound.errors import FetchError, cause_of
from runtime.supervisor.outbound.rules import REDIRECTS, Ask, RawHeaders, end_to_end, parse, redirected, sendable

if TYPE_CHECKING:
    import aiohttp

    from runtime.isolate.boot import Resolve
    from runtime.supervisor.sockets.ends import End

__all__ = ["AddressInfo", "Allow", "FetchError", "Outbound", "OutboundAnswer", "ResponseBody"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Allow = Callable[[Address], bool]
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]  # as of socket.getaddrinfo
_NO_HEADERS: RawHeaders = []


class OutboundAnswer(msgspec.Struct, frozen=True):
    """An answer whose headers have come. Whoever holds it closes ``chunks``, which closes the connection."""

    status: int
    status_text: str
    headers: RawHeaders
    url: str  # after redirects, without fragment
    redirected: bool
    chunks: ResponseBody
    socket: End | None = None  # of a 101: then there are no ``chunks`` to speak of


class Outbound:
    """One pool of connections for all workers.

    ``allow`` is asked about every IP address right before a connection to it is made, after DNS and for each
    redirect: return False to refuse it. Timeouts in seconds: ``connect`` for DNS, TCP and TLS together,
    ``idle`` for a peer that sends nothing while we read. A stream may last for ever.
    """

    def __init__(self, *, allow: Allow | None = None, connect: float = 10.0, idle: float = 300.0) -> None:
        self._allow, self._connect, self._idle = allow, connect, idle
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        method: str,
        url: str,
        headers: RawHeaders,
        body: bytes | AsyncIterator[bytes] | None = None,
        redirect: str = "follow",
        timeout: float | None = None,  # noqa: ASYNC109 - covers several awaits, and has an error of its own
        hop: RawHeaders = _NO_HEADERS,
    ) -> OutboundAnswer:
        """Ask, follow redirects if told to, and return once the headers are there.

        ``timeout``: seconds until then, over all redirects. ``hop``: headers of this connection alone. Raises
        ``FetchError``. A ``body`` that streams is closed in any case, at the latest with the answer.
        """
        upload = body if body is None or isinstance(body, bytes) else StreamedBody(body)
        try:
            ask = Ask(method, parse(url), sendable(headers), upload, hop=hop)
            return await self._within(timeout, ask, redirect)
        except BaseException:
            await close(upload)
            raise

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of TCP, to an address that is allowed. Raises OSError, TimeoutError among them."""
        loop, failed = asyncio.get_running_loop(), OSError(f"{host} has no address")
        async with asyncio.timeout(self._connect):
            for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                try:
                    return await _connected(self._guard(info), info[4])
                except OSError as error:
                    failed = error
        raise failed

    async def resolve(self, asked: Resolve) -> list[AddressInfo]:
        """As ``socket.getaddrinfo``, but for addresses that are not allowed. Raises OSError: there is no other."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect):
            found = await loop.getaddrinfo(
                asked.host, asked.port, family=asked.family, type=asked.kind, proto=asked.protocol, flags=asked.flags
            )
        allowed = [info for info in found if self._allows(str(info[4][0]))]
        if found and not allowed:
            raise PermissionError(_refusal(str(found[0][4][0])))
        return [(*info[:3], info[3], tuple(info[4])) for info in allowed]

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _within(self, seconds: float | None, ask: Ask, redirect: str) -> OutboundAnswer:
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(ask, redirect)
        except TimeoutError:
            raise FetchError(ask.host, f"no answer within {seconds:g} s") from None

    async def _follow(self, ask: Ask, redirect: str) -> OutboundAnswer:
        while True:
            response = await self._send(ask)
            location = _location(response)
            if location is None or redirect == "manual":
                return _answer(ask, response)
            _let_go(ask, response)
            if redirect == "error":
                raise FetchError(ask.host, f"it redirects ({response.status}), and redirect is 'error'")
            sent, ask = ask.body, redirected(ask, response.status, location)
            if ask.body is None:
                await close(sent)

    async def _send(self, ask: Ask) -> aiohttp.ClientResponse:
        import aiohttp
        from yarl import URL as Encoded

        session = self._session or self._open()
        try:
            return await session.request(
                ask.method,
                Encoded(ask.url.href, encoded=True),
                headers=_as_text(ask),
                data=payload(ask.body),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(ask.host, cause_of(error)) from error

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        from runtime.supervisor.outbound import passing

        guard = self._guard if self._allow else None
        self._session = aiohttp.ClientSession(
            connector=passing.connector(asyncio.get_running_loop(), limit=0, socket_factory=guard),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect, sock_read=self._idle),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            auto_decompress=False,
        )
        return self._session

    def _guard(self, info: Any) -> socket.socket:
        """Called with each address about to be connected to: the last door, which DNS cannot go around."""
        family, kind, protocol, _, (host, *_) = info
        if not self._allows(host):
            raise PermissionError(_refusal(host))
        return socket.socket(family, kind, protocol)

    def _allows(self, host: str) -> bool:
        address = ipaddress.ip_address(host)
        return self._allow is None or self._allow(getattr(address, "ipv4_mapped", None) or address)


def _refusal(host: str) -> str:
    return f"the address {host} is not allowed"


async def _connected(sock: socket.socket, address: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


def _let_go(ask: Ask, response: aiohttp.ClientResponse) -> None:
    """Back into the pool, unless something is still being sent."""
    if isinstance(ask.body, StreamedBody):
        response.close()
    else:
        response.release()


def _location(response: aiohttp.ClientResponse) -> str | None:
    if response.status not in REDIRECTS:
        return None
    locations = (value for name, value in response.raw_headers if name.lower() == b"location")
    value = next(locations, None)
    return None if value is None else value.decode("utf-8", "replace")


def _answer(ask: Ask, response: aiohttp.ClientResponse) -> OutboundAnswer:
    return OutboundAnswer(
        response.status,
        response.reason or "",
        end_to_end((name.lower(), value) for name, value in response.raw_headers),
        ask.url.href,
        ask.hops > 0,
        ResponseBody(response, ask.host, ask.body),
    )


def _as_text(ask: Ask) -> Any:
    """Headers as aiohttp takes them; it writes UTF-8, so that bytes which are UTF-8 leave as they are.

    The length of bytes is known here and any other claim dropped; that of a stream is the worker's word.
    """
    from multidict import CIMultiDict

    headers = CIMultiDict((_text(name), _text(value)) for name, value in (*ask.headers, *ask.hop))
    if not isinstance(ask.body, StreamedBody):
        headers.popall("content-length", None)
    if isinstance(ask.body, bytes):
        headers["content-length"] = str(len(ask.body))
    return headers


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
