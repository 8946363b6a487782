"""Messages between the supervisor and the zygote: length + msgpack, with descriptors beside them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import msgspec

_MAX_DESCRIPTORS = 8


def send(sock: socket.socket, message: list[Any], descriptors: Sequence[int] = ()) -> None:
    """Write one message whole."""
    body = msgspec.msgpack.encode(message)
    data = len(body).to_bytes(4, "little") + body
    sent = socket.send_fds(sock, [data], list(descriptors))
    sock.sendall(data[sent:])


def receive(sock: socket.socket) -> tuple[list[Any] | None, list[int]]:
    """One message and its descriptors; (None, []) when the other end is gone."""
    head, descriptors, _, _ = socket.recv_fds(sock, 4, _MAX_DESCRIPTORS)
    head += _exactly(sock, 4 - len(head)) if head else b""
    if len(head) < 4:
        return None, []
    body = _exactly(sock, int.from_bytes(head, "little"))
    return (msgspec.msgpack.decode(body), descriptors) if body else (None, descriptors)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return data
