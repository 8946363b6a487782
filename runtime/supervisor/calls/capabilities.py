"""The table beside a call's payload: from one process's numbers to what they name, and on to another's numbers.

See ``runtime.isolate.calls.packing`` for what its rows say. The rows are user code's to make up, and are checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from bindings.messages import CallError
from runtime.supervisor.calls.call import Capability
from runtime.supervisor.calls.stubs import Stub, Stubs
from runtime.wire import Channel, ChannelClosed, GuardedChannel

_MAX_ROWS = 1024  # of one payload
USED = "This ReadableStream is disturbed (has already been read from), and cannot be used as a body."


async def taken(stubs: Stubs, channel: Channel, table: object) -> list[Capability]:
    """What the rows of one process name. Raises CallError."""
    if not table:
        return []
    if not isinstance(table, list):
        raise CallError("Error", "a table that is none")
    found: list[Capability] = []
    try:
        for row in table:
            found.append(_taken(stubs, channel, row))  # noqa: PERF401 - what was found is dropped with the rest
        if len(found) > _MAX_ROWS:
            raise CallError("Error", f"more than {_MAX_ROWS} functions, streams and stubs in one call")
    except BaseException:
        await dropped(found)
        raise
    return found


async def handed(
    stubs: Stubs, channel: GuardedChannel, capabilities: list[Capability], *, answers: bool = False
) -> list[tuple[str, int]]:
    """The rows for another process, which has them from now on; ``answers``: its call at hand. Raises CallError or
    ChannelClosed, and then nobody has. The list is empty afterwards."""
    if not capabilities:
        return []
    given, rows = capabilities[:], list[tuple[str, int]]()
    capabilities.clear()
    try:
        if channel.closed.is_set():
            raise ChannelClosed
        if sum(not isinstance(each, Stub) for each in given) > channel.room:
            raise CallError("Error", "too many streams are open")
        for capability in given:
            rows.append(_handed(stubs, channel, capability, answers))
    except BaseException:
        await dropped(given[len(rows) :])
        withdrawn(stubs, channel, rows)
        raise
    return rows


def withdrawn(stubs: Stubs, channel: Channel, rows: Sequence[tuple[str, int]]) -> None:
    """The process did not get them."""
    for kind, number in rows:
        if kind == "held":
            stubs.let_go(number)
        else:
            channel.discard(number)


async def dropped(capabilities: Sequence[Capability]) -> None:
    """Nobody gets them."""
    for capability in capabilities:
        if isinstance(capability, Stub):
            capability.drop()
        else:
            await closed(capability)


async def closed(source: object) -> None:
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()


def stream(channel: Channel, owner: str, number: int) -> AsyncIterator[Any]:
    """A stream of a process's, or one of ours that it hands back unread. Raises CallError."""
    source = channel.adopt(number) if owner == "yours" else channel.read(number)
    if source is None:
        raise CallError("TypeError", USED)
    return source


def _taken(stubs: Stubs, channel: Channel, row: object) -> Capability:
    match row:
        case ["lent", int(number)]:
            return Stub(stubs, number)
        case ["held", int(number)]:
            return stubs.find(number).hold()
        case ["mine" | "yours" as owner, int(number)]:
            return stream(channel, owner, number)
    raise CallError("Error", "a row that is none")


def _handed(stubs: Stubs, channel: Channel, capability: Capability, answers: bool) -> tuple[str, int]:
    if isinstance(capability, Stub):
        return "held", stubs.keep(capability, answers=answers)
    return "stream", channel.offer(capability)


__all__ = ["closed", "dropped", "handed", "stream", "taken", "withdrawn"]
