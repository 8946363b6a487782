"""The end of a socket that a worker's process has. What comes from there is checked: it runs someone's code."""

from __future__ import annotations

from collections.abc import Callable

from runtime.supervisor.sockets.ends import ABNORMAL, FAILED, LEFT, NO_CODE, Content, End, is_sendable, join
from runtime.supervisor.sockets.quota import MESSAGE_BYTES
from runtime.wire import SOCKET, Channel
from runtime.wire.credit import CreditExceeded

_WINDOW_BYTES = 64 * 1024  # of messages that the worker has not dealt with; one more is always let through
_QUEUE_BYTES = 64 * 1024 * 1024  # the same, where the sender is a worker, which nothing holds up
_MESSAGE_BYTES = 128  # what a message costs besides its content
_MESSAGE = (str, bytes)
_NOT_THAT = "sent over a socket what is none of its messages"


class WorkerEnd:
    """``lent``: what it is joined to once the worker accepts it. ``heard()`` is called before each message that the
    worker is sent, ``ended()`` once, when neither side has anything to say any more."""

    __slots__ = ("_channel", "_ended", "_gone", "_heard", "_held", "_number", "_own", "_unread", "lent", "other")

    def __init__(
        self, channel: Channel, number: int, heard: Callable[[], None], ended: Callable[[WorkerEnd], None],
        lent: End | None = None,
    ) -> None:  # fmt: skip
        self._channel, self._number, self._heard, self._ended, self.lent = channel, number, heard, ended, lent
        self._unread = 0  # bytes
        self._own = lent is None  # it waits for word that its answer has come
        self._held = self._gone = False  # held: the other end is; gone: it is
        self.other: End | None = None
        channel.sockets[number] = self

    @property
    def number(self) -> int:
        return self._number

    # runtime.supervisor.sockets.ends.End

    def begin(self) -> None:
        """The worker's process keeps what comes until it is wanted."""
        if self._own:
            self._channel.send([SOCKET, self._number, True])

    def take(self, content: Content) -> None:
        self._heard()
        self._unread += len(content) + _MESSAGE_BYTES
        if self._unread > _QUEUE_BYTES + len(content):  # only another worker sends on regardless
            return self._too_slow()
        self._channel.send_now([SOCKET, self._number, content])
        if self._unread > _WINDOW_BYTES and not self._held and self.other is not None:
            self._held = True
            self.other.hold(True)

    def _too_slow(self) -> None:
        other = self.other
        self.lose(ABNORMAL, LEFT)
        if other is not None:
            other.lose(ABNORMAL, LEFT)

    def close(self, code: int, reason: str) -> None:
        self._heard()
        self._channel.send([SOCKET, self._number, [code, reason, True, ""]])

    def lose(self, code: int, reason: str, error: str = "") -> None:
        if not self._gone:
            self._gone, self.other = True, None
            self._heard()
            self._channel.send([SOCKET, self._number, [code, reason, False, error]])

    def hold(self, full: bool) -> None:
        """A worker's ``send`` does not wait."""

    # runtime.wire.protocol.SocketEnd

    def arrived(self, content: object) -> None:
        """Raises CreditExceeded for what no worker's process sends."""
        if isinstance(content, _MESSAGE):
            if self.other is not None:
                self.other.take(content_of(content))
        elif content is None:
            self._channel.sockets.pop(self._number, None)
            self._over()
        elif content is True:
            if (lent := self.lent) is not None:
                self.lent = None
                join(lent, self)
        elif isinstance(content, int):
            self._read(content)
        else:
            self._say_closed(*closing_of(content))

    def lost(self) -> None:
        self._over()

    def take_back(self) -> End | None:
        """What was lent, if the worker has not accepted it: it goes elsewhere."""
        lent, self.lent = self.lent, None
        if lent is not None:
            self._channel.sockets.pop(self._number, None)
            self._ended(self)
        return lent

    def _say_closed(self, code: int, reason: str) -> None:
        if self.other is not None:
            self.other.close(code, reason)

    def _read(self, size: int) -> None:
        if not 0 <= size <= self._unread:
            raise CreditExceeded(_NOT_THAT)
        self._unread -= size
        if self._held and self._unread <= _WINDOW_BYTES // 2:
            self._held = False
            if self.other is not None:
                self.other.hold(False)

    def _over(self) -> None:
        """Of this process nothing comes any more. One that has closed before has said so."""
        other, self.other = self.other or self.lent, None
        self.lent = None
        if other is not None:
            died = self._channel.closed.is_set()
            other.lose(FAILED if died else ABNORMAL, "the worker's process ended" if died else LEFT)
        self._gone = True
        self._ended(self)


def content_of(content: Content) -> Content:
    """A message as a process sends it. Raises CreditExceeded."""
    if len(content) > MESSAGE_BYTES:
        raise CreditExceeded(f"sent a message of more than {MESSAGE_BYTES} bytes over a socket")
    return content


def closing_of(content: object) -> tuple[int, str]:
    """A close as a process sends it. Raises CreditExceeded."""
    match content:
        case [int(code), str(reason)] if code == NO_CODE or is_sendable(code):
            return code, reason
    raise CreditExceeded(_NOT_THAT)


__all__ = ["WorkerEnd", "closing_of", "content_of"]
