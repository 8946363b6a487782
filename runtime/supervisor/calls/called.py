"""A call as the process has it whose worker is called."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from bindings.messages import HostSocket
from runtime.errors import ScriptError
from runtime.supervisor.calls.call import Answer, Call, ServiceAnswer, ServiceRequest
from runtime.supervisor.calls.capabilities import handed, taken, withdrawn
from runtime.supervisor.calls.stubs import Stub, Stubs
from runtime.supervisor.http.exchange import numbers
from runtime.supervisor.http.heads import pairs
from runtime.supervisor.limits import LimitedBody, Limits
from runtime.tracing import NO_SPAN, Span
from runtime.wire import MAX_CHUNK, RemoteStream

_UNTRACED = nullcontext(NO_SPAN)
_NO_ANSWER = "the worker's process sent an answer that is none"


def spanned(parent: Span, name: str, facts: Mapping[str, Any] | None = None) -> AbstractContextManager[Span]:
    """A span below that one, where there is one."""
    return _UNTRACED if parent is NO_SPAN else _ended(parent.child(name, attributes=facts))


@contextmanager
def _ended(span: Span) -> Iterator[Span]:
    try:
        yield span
    finally:
        span.end(sys.exception())


class CallActivity:
    """What its own calls and fetches are counted against."""

    def __init__(self, asked: Call | ServiceRequest, span: Span = NO_SPAN) -> None:
        self.number, self.depth, self.span, self._asked = next(numbers), asked.caller.depth, span, asked
        self.status = self.subrequests = 0
        self.lent: list[int] = []

    @property
    def name(self) -> str:
        return self._asked.name

    def uses(self, source: object) -> None:
        """No line in the log says what it has used."""


async def call(process: Stubs, activity: CallActivity, call: Call) -> Answer:
    """Raises RemoteError, ChannelClosed, ScriptError, CallError."""
    target = call.target
    before = (target.entrypoint, target.id, call.method)
    return await _called(process, activity, call, "call", before, dict(target.props))


async def invoke(stub: Stub, call: Call) -> Answer:
    """The same of an object that a process has lent."""
    with spanned(call.caller.span, f"stub {call.method}") as span:
        activity = CallActivity(call, span)
        return await _called(stub.owner, activity, call, "invoke", (stub.number, call.method))


async def _called(
    process: Stubs, activity: CallActivity, call: Call, op: str, before: tuple[object, ...], *after: object
) -> Answer:
    rows = await handed(process, process.channel, call.capabilities)
    with _under_way(process, activity, rows):
        answer = await process.channel.call(op, activity.number, *before, call.payload, rows, *after)
    return await answered(process, answer)


async def answered(process: Stubs, answer: object) -> Answer:
    """What a process has answered to a call, which may be anything. Raises ScriptError, CallError."""
    match answer:
        case [bytes(payload), table]:
            return Answer(payload, await taken(process, process.channel, table))
    raise ScriptError(_NO_ANSWER)


async def request(
    process: Stubs, activity: CallActivity, request: ServiceRequest, limits: Limits | None
) -> ServiceAnswer:
    """As ``call``."""
    target, body = request.target, request.body
    streams = [] if body is None or isinstance(body, bytes) else [body]
    rows = await handed(process, process.channel, list(streams))
    content, handle = (None, rows[0][1]) if rows else (body, None)
    parts = (request.method, request.url, request.headers, content, handle, None, target.entrypoint, dict(target.props))
    with _under_way(process, activity, rows):
        answer = await process.channel.call("fetch", activity.number, *parts)
        noted(process, answer, activity)
    return service_answer(process, answer, limits, activity.number)


def service_answer(process: Stubs, answer: object, limits: Limits | None, event: int) -> ServiceAnswer:
    """What a process has answered to a request, which may be anything. Raises ScriptError."""
    match answer:
        case [int(status), str(text), headers, ["socket", int(number)], *_]:
            return ServiceAnswer(status, text, pairs(headers), HostSocket(process.sockets.given(number, event, None)))
        case [int(status), str(text), headers, None | bytes() | ["mine" | "yours", int()] as body, *_]:
            if not isinstance(body, bytes) or len(body) <= MAX_CHUNK:
                return ServiceAnswer(status, text, pairs(headers), _content(process, body, limits))
    raise ScriptError(_NO_ANSWER)


def noted(process: Stubs, answer: object, activity: CallActivity) -> None:
    """To a process that waits for the end of what it has answered."""
    if isinstance(answer, list) and len(answer) > 4:
        process.channel.note("over", activity.number)


def _content(process: Stubs, body: Any, limits: Limits | None) -> bytes | AsyncIterator[Any] | None:
    if body is None or isinstance(body, bytes):
        return body
    owner, number = body
    if owner == "mine":
        source: RemoteStream = process.channel.read(number)
        return source if limits is None else LimitedBody(source, limits.response_bytes)
    if (adopted := process.channel.adopt(number)) is None:
        raise ScriptError("the response's stream was already used", remedy="Return a stream to one response only.")
    return adopted


@contextmanager
def _under_way(process: Stubs, activity: CallActivity, rows: Sequence[Any]) -> Iterator[None]:
    """While the process is at it. Where that fails, it keeps nothing of what it was handed and lent."""
    process.at_work.begin(activity)
    try:
        yield
    except BaseException:
        withdrawn(process, process.channel, rows)
        let_go(process, activity)
        raise
    finally:
        process.at_work.end(activity)


def let_go(process: Stubs, activity: CallActivity) -> None:
    """Of the streams that it was given on the way."""
    for number in activity.lent:
        process.channel.discard(number)


__all__ = [
    "CallActivity", "answered", "call", "invoke", "let_go", "noted", "request", "service_answer", "spanned",
]  # fmt: skip
