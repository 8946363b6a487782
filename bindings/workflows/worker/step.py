"""``step`` of ``run(event, step)``. https://developers.cloudflare.com/workflows/python/

A step's function names what it needs by its parameters: earlier steps, whose results it is given, and ``ctx``.
"""

from __future__ import annotations

import inspect
from asyncio import Future, gather, get_running_loop, shield
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bindings.workflows.worker.attempts import attempt, exception_of
from bindings.workflows.worker.calls import Calls
from bindings.workflows.worker.values import unpacked
from runtime.values import JsDict, to_wire
from runtime.values.dates import Date

CONTEXT = "ctx"
Awaited = Callable[[], Awaitable[Any]]  # what ``do`` makes of a function


class WorkflowStep:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._steps: dict[str, Step] = {}  # by their names; of two that share one, the later

    def do(
        self, name: str | None = None, *, depends: Sequence[Awaited] | None = None, concurrent: bool = False,
        config: dict[str, Any] | None = None,
    ) -> Callable[[Callable[..., Any]], Awaited]:  # fmt: skip
        """Make a step of a function: awaited, it runs, or gives what it gave before. ``depends``: the steps whose
        results it takes, where its parameters do not name them; ``concurrent``: those run at the same time."""
        if callable(name):
            raise TypeError("step.do takes a step's name:  @step.do()")

        def decorate(function: Callable[..., Any]) -> Awaited:
            made = Step(self._calls, self._steps, name or function.__name__, function, concurrent, config)
            made.depends = None if depends is None else [getattr(step, "step", None) for step in depends]
            self._steps[made.name] = made

            async def run() -> Any:
                return await made.run()

            run.__name__, run.__doc__ = function.__name__, function.__doc__
            run.step = made  # type: ignore[attr-defined]
            return run

        return decorate

    async def sleep(self, name: str, duration: float | str) -> None:
        """``duration``: milliseconds, or ``"2 hours"``."""
        await self._asked("sleep", name, duration)

    async def sleep_until(self, name: str, timestamp: datetime | Date | str | float) -> None:
        """A naive moment is local time; a text is ISO 8601; a number, ms since the epoch."""
        moment = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else timestamp
        moment = moment.toDatetime() if isinstance(moment, Date) else moment
        ms = moment.timestamp() * 1000 if isinstance(moment, datetime) else moment
        await self._asked("sleep_until", name, int(ms))

    async def wait_for_event(self, name: str, event_type: str, timeout: float | str = "24 hours") -> JsDict:
        """``{payload, type, timestamp}`` of the next event of that type."""
        kind, value = await self._asked("wait", name, event_type, timeout)
        if kind == "failed":
            raise exception_of(value)
        found: JsDict = unpacked(value)
        return found

    async def _asked(self, method: str, *args: object) -> Any:
        return await self._calls.within(self._calls.call(method, *map(to_wire, args)))


class Step:
    """A function under its name."""

    depends: list[Step | None] | None = None

    def __init__(
        self, calls: Calls, steps: dict[str, Step], name: str, function: Callable[..., Any], concurrent: bool,
        config: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        self.name, self.function = name, function
        self._calls, self._steps, self._concurrent, self._config = calls, steps, concurrent, config
        self._parameters = list(inspect.signature(function).parameters.values())
        self._latest: list[Any] = []  # its result, once it has one
        self._flight: Future[Any] | None = None  # the run that goes on

    async def run(self) -> Any:
        """A new one of its name, with its dependencies' results."""
        flight = self._flight = get_running_loop().create_future()
        try:
            result = await self._result(await self._arguments())
        except BaseException as error:
            _fail(flight, error)
            raise
        finally:
            self._flight = None if self._flight is flight else self._flight
        flight.set_result(result)
        self._latest = [result]
        return result

    async def _as_dependency(self) -> Any:
        if self._latest:
            return self._latest[0]
        return await (self.run() if self._flight is None else shield(self._flight))

    async def _arguments(self) -> list[Any]:
        """By position; CONTEXT where the context goes."""
        needed = self._needed()
        if any(step is self for step in _all_of(needed)):
            raise TypeError(f"The step {self.name!r} depends on itself")
        steps = [item for item in needed if isinstance(item, Step)]
        if self._concurrent:
            found = iter(await gather(*(step._as_dependency() for step in steps)))
        else:
            found = iter([await step._as_dependency() for step in steps])
        return [next(found) if isinstance(item, Step) else item for item in needed]

    def _needed(self) -> list[Step | str]:
        """Raises TypeError."""
        if self.depends is not None:
            return self._listed(self.depends)
        needed: list[Step | str] = []
        for parameter in self._parameters:
            if (step := self._steps.get(parameter.name)) is not None:
                needed.append(step)
            elif parameter.name == CONTEXT:
                needed.append(CONTEXT)
            elif parameter.default is parameter.empty:
                raise TypeError(f"Received unexpected parameter {parameter.name}")
            else:
                break  # it and what follows keep their defaults
        return needed

    def _listed(self, depends: list[Step | None]) -> list[Step | str]:
        context = [CONTEXT] if len(self._parameters) == len(depends) + 1 else []
        if len(self._parameters) != len(depends) + len(context) or None in depends:
            what = f"takes {len(self._parameters)} parameters and depends on {len(depends)} steps"
            raise TypeError(f"The step {self.name!r} {what}")
        return [*(step for step in depends if step is not None), *context]

    async def _result(self, arguments: list[Any]) -> Any:
        answer = await self._ask("do", self.name, to_wire(self._config))
        while answer[0] == "run":
            answer = await self._tried(arguments, *answer[1:])
        kind, value = answer
        if kind == "failed":
            raise exception_of(value)
        return unpacked(value)

    async def _tried(
        self, arguments: list[Any], count: int, number: int, config: dict[str, Any], timeout_ms: int
    ) -> list[Any]:
        """What comes of one attempt: its result, or what is next."""
        ctx = JsDict(step=JsDict(name=self.name, count=count), attempt=number, config=_shown(config))
        given = [ctx if item is CONTEXT else item for item in arguments]
        what = f"workflow step {self.name!r}, attempt {number}"
        result, failure, final = await self._calls.within(attempt(self.function, given, timeout_ms, what))
        if failure is not None:
            told: list[Any] = await self._ask("fail", self.name, count, failure, final)
        else:
            told = await self._ask("finish", self.name, count, result) or ["done", result]
        return told

    async def _ask(self, method: str, *args: object) -> Any:
        return await self._calls.within(self._calls.call(method, *args))


def _shown(value: Any) -> Any:
    return JsDict({key: _shown(item) for key, item in value.items()}) if isinstance(value, dict) else value


def _all_of(needed: Sequence[Step | str]) -> Iterator[Step]:
    """These steps, and all that they need."""
    pending, seen = [step for step in needed if isinstance(step, Step)], set[int]()
    while pending:
        step = pending.pop()
        if id(step) not in seen:
            seen.add(id(step))
            yield step
            pending += [other for other in step._needed() if isinstance(other, Step)]


def _fail(flight: Future[Any], error: BaseException) -> None:
    if isinstance(error, Exception):
        flight.set_exception(error)
        flight.exception()  # nobody need have waited for it
    else:
        flight.cancel()


__all__ = ["WorkflowStep"]
