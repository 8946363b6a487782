"""What a call has brought → Python: the other half of ``packing``."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.msgpack import Ext

from runtime.isolate.calls.stubs import Borrower, RpcStub
from runtime.isolate.remote import HandleStream
from runtime.values import JsException, from_wire, opened
from runtime.values.wire import BLOB, CAPABILITY, HEADERS, REQUEST, RESPONSE
from runtime.web import Blob, File, Headers, ReadableStream, Request, Response
from runtime.wire import Channel, RemoteError

_decode = msgspec.msgpack.Decoder().decode


class CalledStream(HandleStream):
    """A stream of another worker's: what its source raises is an error of that worker's."""

    __slots__ = ()

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        except RemoteError as error:
            raise JsException(error.message, error.name, **error.fields, remote=True) from None


def unpacked(line: Borrower, channel: Channel, payload: bytes, table: list[tuple[str, int]]) -> Any:
    """The value. What it holds of others' belongs to the event at hand."""
    value = _decode(payload)
    if not table:
        return from_wire(value, _of_bytes)
    rows = tuple(_received(line, channel, *row) for row in table)
    return from_wire(value, _Unpacking(rows).other)


def _received(line: Borrower, channel: Channel, kind: str, number: int) -> Any:
    if kind == "held":
        return RpcStub(line, number)
    return CalledStream(channel.read(number))


class _Unpacking:
    def __init__(self, rows: tuple[Any, ...]) -> None:
        self._rows = rows

    def other(self, value: Ext) -> object:
        """What ``from_wire`` does not know."""
        if value.code == CAPABILITY:
            found = self._row(value)
            return ReadableStream(found) if isinstance(found, HandleStream) else found
        make = _NATIVE.get(value.code)
        return opened(value) if make is None else make(self, *_decode(value.data))

    def _row(self, value: Ext) -> Any:
        return self._rows[int(bytes(value.data))]

    def _body(self, body: Any) -> Any:
        return self._row(body) if isinstance(body, Ext) else body

    def request(self, method: str, url: str, headers: Any, body: Any, redirect: str) -> Request:
        request = Request.from_parts(method, url, _pairs(headers), self._body(body))
        request.redirect = redirect
        return request

    def response(self, status: int, text: str, headers: Any, body: Any, url: str, redirected: bool) -> Response:
        pairs = _pairs(headers)
        return Response.from_parts(status, text, pairs, self._body(body), url=url, redirected=redirected)

    def headers(self, *pairs: Any) -> Headers:
        return Headers.from_raw(_pairs(pairs))

    def blob(self, content: bytes, kind: str, *file: Any) -> Blob:
        if not file:
            return Blob([content], type=kind)
        name, modified = file
        return File([content], name, type=kind, last_modified=modified)


def _pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in headers]


_NATIVE: dict[int, Any] = {
    REQUEST: _Unpacking.request,
    RESPONSE: _Unpacking.response,
    HEADERS: _Unpacking.headers,
    BLOB: _Unpacking.blob,
}
_of_bytes = _Unpacking(()).other  # where there is no table

__all__ = ["CalledStream", "unpacked"]
