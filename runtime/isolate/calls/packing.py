"""Python → what one call carries: a payload of bytes, and beside it a table of *capabilities*.

The payload is msgpack as of ``runtime.values``, whole and opaque to the supervisor. What no bytes can be (an object
that is called, a stream that is read) stands in it as the index of a row in the table, of which the supervisor makes
the row that the other process knows it by:

    sent                      →  received
    ["lent", our number]         ["held", number]      an object: ``RpcStub``
    ["held", their number]       ["held", number]      an object of somebody else's, handed on
    ["mine", stream number]      ["stream", number]    a stream of ours
    ["yours", stream number]     ["stream", number]    a stream of the supervisor's that nobody has read

So a stream that nobody reads goes from its source to its reader past everybody in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.msgpack import Ext

from runtime.isolate.calls.loans import Loans
from runtime.isolate.calls.stubs import RpcStub, RpcTarget
from runtime.isolate.remote import fits_inline, reference
from runtime.values import JsException, to_wire
from runtime.values.wire import BLOB, CAPABILITY, HEADERS, REQUEST, RESPONSE
from runtime.web import Blob, File, FormData, Headers, ReadableStream, Request, Response
from runtime.web.sockets import WebSocket
from runtime.wire import Channel
from runtime.wire.frames import encode, encode_well_formed

MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
Table = list[tuple[str, int]]
_NO_RECEIVER = (
    "Proxy could not be serialized because it is not a valid RPC receiver type. The Proxy must emulate either a plain "
    "object or an RpcTarget, as indicated by the Proxy's prototype chain."
)  # upstream's words, which people search for


def packed(channel: Channel, loans: Loans, value: object, *, answers: bool = False) -> tuple[bytes, Table]:
    """``answers``: it is the answer to the call at hand. Raises TypeError, or JsException (DataCloneError), for what
    cannot be sent; then nothing is lent."""
    packing = _Packing(channel, loans, answers)
    try:
        payload = encode_well_formed(to_wire(value, packing.other))
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise JsException(
                "Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: "
                f"{len(payload)} bytes."
            )
    except BaseException:
        undone(channel, loans, packing.table)
        raise
    return payload, packing.table


def undone(channel: Channel, loans: Loans, table: Table) -> None:
    """It is not sent."""
    for owner, number in table:
        if owner == "lent":
            loans.returned(number)
        elif owner == "mine":
            channel.discard(number)


class _Packing:
    def __init__(self, channel: Channel, loans: Loans, answers: bool) -> None:
        self._channel, self._loans, self._answers = channel, loans, answers
        self.table: Table = []

    def other(self, value: object) -> Ext:
        """What ``to_wire`` has no plain value for."""
        if isinstance(value, RpcStub):
            return self._row("held", value._held.number())
        if isinstance(value, ReadableStream):
            return self._row(*reference(self._channel, value.detach()))
        for kind, pack in _NATIVE:
            if isinstance(value, kind):
                return pack(self, value)
        if isinstance(value, RpcTarget) or callable(value):
            return self._row("lent", self._loans.lend(value, answers=self._answers))
        raise JsException(_NO_RECEIVER, "DataCloneError")

    def _row(self, owner: str, number: int) -> Ext:
        self.table.append((owner, number))
        return Ext(CAPABILITY, b"%d" % (len(self.table) - 1))

    def _body(self, content: Any) -> object:
        if content is None or fits_inline(content):
            return content
        return self._row(*reference(self._channel, content))

    def request(self, value: Request) -> Ext:
        method, url, headers, body = value.to_parts()
        return Ext(REQUEST, encode((method, url, headers, self._body(body), value.redirect)))

    def response(self, value: Response) -> Ext:
        if value.web_socket is not None:
            self.none(value.web_socket)
        status, text, headers, body = value.to_parts()
        return Ext(RESPONSE, encode((status, text, headers, self._body(body), value.url, value.redirected)))

    def headers(self, value: Headers) -> Ext:
        return Ext(HEADERS, encode(value.raw()))

    def blob(self, value: Blob) -> Ext:
        file = (value.name, value.last_modified) if isinstance(value, File) else ()
        return Ext(BLOB, encode((bytes(value), value.type, *file)))

    def none(self, value: object) -> Ext:
        """As upstream: a socket goes by ``fetch`` alone."""
        kind = WebSocket if isinstance(value, WebSocket) else type(value)
        what = f'Could not serialize object of type "{kind.__name__}". This type does not support serialization.'
        raise JsException(what, "DataCloneError")


_NATIVE: tuple[tuple[type, Callable[[_Packing, Any], Ext]], ...] = (
    (Request, _Packing.request),
    (Response, _Packing.response),
    (Headers, _Packing.headers),
    (Blob, _Packing.blob),
    (FormData, _Packing.none),
    (WebSocket, _Packing.none),
)

__all__ = ["Table", "packed", "undone"]
