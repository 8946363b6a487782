"""What can be observed of a running supervisor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import msgspec

from runtime.errors import ScriptError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
Level = Literal["debug", "info", "warning", "error"]
BROKE_OFF = "broke off"  # the note of an answer that failed half-way, whatever its status


class Banner(msgspec.Struct, frozen=True, kw_only=True):
    """What is told at the start. ``bindings``: (name in env, what it is, where it is kept). ``others``: workers beside
    this one."""

    version: str
    url: str | None
    name: str
    config_path: str | None
    bindings: Sequence[tuple[str, str, str]] = ()
    remarks: Sequence[str] = ()
    warnings: Sequence[str] = ()
    others: Sequence[Banner] = ()


class RequestRecord(msgspec.Struct, frozen=True):
    """A request and its answer. ``first_ms``: the time to its first token; ``worker``: where several are served."""

    method: str
    path: str
    status: int
    ms: float
    first_ms: float | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    note: str | None = None
    request_id: str | None = None
    worker: str | None = None


class Observer(ABC):
    """Told of everything worth knowing; every method is quick, never waits and never raises.

    Times are milliseconds. ``key`` of a progress line is the model's id, ``stage`` is ``download``,
    ``load`` or ``warm-up``, ``fraction`` 0..1 or None where nobody knows.
    """

    several = False  # workers are served: a person is told whose line it is

    def __init__(self, level: str) -> None:
        self.threshold = LEVELS[level]

    def shows(self, level: Level) -> bool:
        return LEVELS[level] >= self.threshold

    def level_of(self, status: int, note: str | None) -> Level:
        return "error" if status >= 500 or note == BROKE_OFF else "info"

    @abstractmethod
    def banner(self, banner: Banner) -> None:
        """A deployment was opened."""

    @abstractmethod
    def ready(self, url: str, *, keys: bool = False) -> None:
        """Connections are accepted. Shown at every level: whoever started us waits for it. ``keys``: some do things."""

    @abstractmethod
    def tell(self, *lines: str) -> None:
        """What was asked for at the terminal, by a key. Shown at every level."""

    @abstractmethod
    def clear(self) -> None:
        """Empty the screen, where there is one."""

    @abstractmethod
    def request(self, request: RequestRecord) -> None:
        """A request was answered to its last byte."""

    @abstractmethod
    def debug(self, text: str) -> None: ...

    @abstractmethod
    def note(self, text: str) -> None: ...

    @abstractmethod
    def warn(self, text: str) -> None: ...

    @abstractmethod
    def error(self, text: str, worker: str | None = None) -> None: ...

    @abstractmethod
    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        """The worker's mistake: its own traceback, without our frames."""

    @abstractmethod
    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        """Our mistake: the whole traceback, and the id the client was given."""

    @abstractmethod
    def worker_output(self, name: str, stream: Literal["stdout", "stderr"], line: str) -> None:
        """A line the worker printed, without its line end. Shown at every level."""

    @abstractmethod
    def importing(self, worker: str, script: str, seconds: float, what: str, url: str | None = None) -> None:
        """A script takes long to import: ``what`` is the package or the place it is at. ``url`` answers after that."""

    @abstractmethod
    def blocked(self, worker: str, seconds: float, waiting: Sequence[str], where: str, trace: str) -> None:
        """A worker's event loop has not turned for a while. ``waiting``: the requests, as ``GET /path``."""

    @abstractmethod
    def reloaded(self, version: int, ms: float, files: Sequence[str]) -> None: ...

    @abstractmethod
    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None: ...

    @abstractmethod
    def progress_done(self, key: str, text: str) -> None: ...

    @abstractmethod
    def stopping(self, reason: str, waiting: Sequence[str] = (), seconds: float = 0) -> None:
        """A signal has come. ``waiting``: the requests that have ``seconds`` to finish, as ``GET /path``."""

    @abstractmethod
    def close(self) -> None: ...
