"""Deltas as they cross between processes, and how those that wait for a slow reader become fewer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from functools import reduce
from itertools import groupby
from typing import Any, Protocol

import msgspec

from bindings.ai.engine.protocol import Delta


class DeltaIterator(Protocol):
    """Deltas to iterate over, and to close."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    def __anext__(self) -> Coroutine[Any, Any, Delta]: ...

    async def aclose(self) -> None: ...


def from_wire(item: list[Any]) -> Delta:
    """``[text, tokens, prompt_tokens, finish_reason, extra]``, as a channel brings it."""
    return Delta(*item) if item[4] is None else msgspec.convert(item, Delta)


def joined(first: Delta, second: Delta) -> Delta:
    """Two deltas of one answer as one; neither has an ``extra``."""
    return Delta(
        first.text + second.text,
        first.tokens + second.tokens,
        second.prompt_tokens,
        second.finish_reason or first.finish_reason,
    )


def coalesced(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """The same text in as few deltas as it takes; one with an ``extra`` stays by itself."""
    for plain, run in groupby(deltas, lambda delta: delta.extra is None):
        if plain:
            yield reduce(joined, run)
        else:
            yield from run


__all__ = ["DeltaIterator", "coalesced", "from_wire", "joined"]
