"""A coroutine that mostly has nothing to wait for, without a task for the times it has not."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any

Work = Coroutine[Any, Any, Any]


def begun(work: Work) -> Coroutine[Any, Any, None] | None:
    """Run ``work`` as far as it gets at once. None: to its end; else what a task has to do still. Raises what it
    raises."""
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _rest(work, waits_for)


async def _rest(work: Work, waits_for: object) -> None:
    try:
        await _handed_on(work, waits_for)
    finally:
        work.close()


@types.coroutine
def _handed_on(work: Work, waits_for: object) -> Generator[object, Any, None]:
    """As ``await`` does it: what is waited for, and what becomes of it, an error too."""
    while True:
        try:
            answer = yield waits_for
        except BaseException as error:
            step = partial(work.throw, error)
        else:
            step = partial(work.send, answer)
        try:
            waits_for = step()
        except StopIteration:
            return


__all__ = ["begun"]
