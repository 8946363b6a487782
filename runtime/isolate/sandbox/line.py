"""The line to the supervisor on which a shut-in process asks for names and connections, and waits for the answer.

It is apart from the channel, whose event loop stands still while a plain function waits. Each question brings one end
of a socket pair, on which its answer comes, so that threads ask beside each other.
"""

from __future__ import annotations

import errno
import socket

import msgspec

from runtime.isolate.boot import Addresses, Connect, Connected, Failed, Resolve

_ANSWER_BYTES = 64 * 1024
_answers = msgspec.msgpack.Decoder(Addresses | Connected | Failed)


class Line:
    """``sock``: this end, of whole messages."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def resolve(self, asked: Resolve) -> Addresses:
        """Raises OSError."""
        answer, _ = self._ask(asked, None)
        assert isinstance(answer, Addresses)
        return answer

    def connect(self, asked: Connect, within: float | None) -> tuple[Connected, int]:
        """And the descriptor of a stream that leads there. ``within``: seconds. Raises OSError."""
        answer, descriptors = self._ask(asked, within)
        assert isinstance(answer, Connected)
        return answer, descriptors[0]

    def _ask(self, asked: Resolve | Connect, within: float | None) -> tuple[Addresses | Connected, list[int]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                socket.send_fds(self._sock, [msgspec.msgpack.encode(asked)], [theirs.fileno()])
            ours.settimeout(within)
            message, descriptors, _, _ = socket.recv_fds(ours, _ANSWER_BYTES, 1)
        if not message:
            raise ConnectionResetError(errno.ECONNRESET, "the host has not answered")
        answer = _answers.decode(message)
        if isinstance(answer, Failed):
            raise (socket.gaierror if answer.name else OSError)(answer.number, answer.text)
        return answer, descriptors


__all__ = ["Line"]
