"""A coroutine that mostly has nothing to wait for, without a task for the times it has not."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any


def begun(work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, None] | None:
    """Run ``work`` as far as it gets at once. None: to its end; else what a task has to do still. Raises what it
    raises."""
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return _rest(work, awaited)


async def _rest(work: Coroutine[Any, Any, Any], awaited: object) -> None:
    try:
        await _handed_on(work, awaited)
    finally:
        work.close()


@types.coroutine
def _handed_on(work: Coroutine[Any, Any, Any], awaited: object) -> Generator[object, Any, None]:
    while True:
        sent = yield awaited
        try:
            awaited = work.send(sent)
        except StopIteration:
            return


__all__ = ["begun"]
