"""What one process is asked: a request, from its head to the end of its answer; an event that is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, cast

from bindings.base import Binding, Event
from bindings.messages import Undelivered
from runtime.errors import ScriptError
from runtime.supervisor.calls.at_work import EventActivity
from runtime.supervisor.http.asgi import Body, BodyStream
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.http.framed import WireBody, body_of, event_of, origin_of, parts_of
from runtime.supervisor.limits import IsolateLost, LimitedBody, Limits
from runtime.supervisor.outbound import FetchError
from runtime.supervisor.processes.process import Process, died, failure
from runtime.supervisor.processes.sockets import open_socket
from runtime.wire import ChannelClosed, RemoteError, RemoteStream

_PARTS = 4  # of an answer that the process has no further part in


async def exchanged(process: Process, exchange: Exchange, limits: Limits | None) -> None:
    """One request, start to end. Raises ScriptError."""
    inbound, asked = exchange.inbound, event_of(exchange)
    body, handle = inbound.content, None if inbound.done else process.channel.offer(inbound.chunks())
    process.broker.at_work.begin(exchange)
    exchange.asked()
    call = process.channel.call("fetch", *asked, body, handle, origin_of(exchange.scope))
    await answered(process, exchange, call, limits)


class BegunAnswer(NamedTuple):
    """An answer whose head is sent. ``matters``: to the process, when it is over."""

    rest: BodyStream
    matters: bool


async def answered(
    process: Process, exchange: Exchange, asked: Awaitable[Any] | BegunAnswer, limits: Limits | None
) -> None:
    """From what the process says to the client. Raises ScriptError."""
    exchange.watch(process.channel)
    matters = False
    try:
        if isinstance(asked, BegunAnswer):
            matters = asked.matters
            return await exchange.go_on_with(asked.rest)
        status, headers, content = parts_of(answer := await asked)
        matters = len(answer) > _PARTS
        if isinstance(content, list) and content[0] == "socket":
            return open_socket(exchange, headers, process.broker.sockets, content[1])
        sending = exchange.answer(status, headers, _body(process, content, exchange, limits))
        del answer, headers  # a stream may take its time
        await sending
    except ChannelClosed:
        raise await died(process, limits) from None
    except RemoteError as error:
        raise (exchange.inbound.lost() or failure(error, limits)) from None
    except FetchError as error:  # a fetched answer that passed through broke off
        raise ScriptError(f"{error}, half-way") from None
    except asyncio.CancelledError:
        for number in exchange.lent:
            process.channel.discard(number)
        raise
    finally:
        exchange.unwatch()
        if matters:
            process.channel.note("over", exchange.number)
        process.broker.at_work.end(exchange)


async def dealt_with(process: Process, event: Event, bindings: Sequence[Binding], limits: Limits | None) -> object:
    """The outcome of an event. Raises ScriptError, Undelivered."""
    activity = EventActivity(event.handler)
    process.broker.at_work.begin(activity)
    try:
        entrypoint = event.entrypoint if isinstance(event.entrypoint, str) else event.entrypoint(bindings)
        args = (activity.number, entrypoint, event.handler, event.client, event.binding, dict(event.args))
        return cast(object, await process.channel.call("event", *args))
    except ChannelClosed:
        error = await died(process, limits)
        raise (Undelivered(str(error), begun=True) if isinstance(error, IsolateLost) else error) from None
    except RemoteError as error:
        raise failure(error, limits) from None
    except asyncio.CancelledError:
        for number in activity.lent:
            process.channel.discard(number)
        raise
    finally:
        process.broker.at_work.end(activity)


def _body(process: Process, body: WireBody, exchange: Exchange, limits: Limits | None) -> Body:
    source = body_of(process.channel, body, exchange)
    if limits is None or body is None or isinstance(body, bytes) or body[0] != "mine":
        return source
    return LimitedBody(cast(RemoteStream, source), limits.response_bytes)


__all__ = ["BegunAnswer", "answered", "dealt_with", "exchanged"]
