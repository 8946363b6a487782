"""A server of the comparison, and one that has been started: on a port of its own, pinned to one CPU."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine
from bench.load import LoadError

HERE = Path(__file__).parent
Prepare = Callable[[Path, int, str], None]  # of a folder, for a port and the address of the event source


@dataclass
class Running:
    """A started server. ``cpu()`` leaves EngineCore out: the model's process is not what is compared."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    started: float = field(default_factory=time.perf_counter)

    def cpu(self) -> float:
        return machine.cpu_seconds(self.process.pid, self.core())

    def core(self) -> list[int]:
        log = self.paced_log()
        return [int(line.split()[1]) for line in log if line.startswith("core ")]

    def paced_log(self) -> list[str]:
        path = self.folder / "paced.log"
        return path.read_text().splitlines() if path.exists() else []

    def tokens_made(self) -> int:
        """By the paced sources, since they began."""
        return sum(int.from_bytes(path.read_bytes(), "little") for path in self.folder.glob("paced.log.made.*"))

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@dataclass(frozen=True, eq=False)
class Server:
    """``command`` may hold {port}, {folder} and {target} (the address of the event source). ``hello``, ``proxy``,
    ``idle``, ``tokens`` are the paths of what it can do; ``health`` answers once it serves."""

    name: str
    command: tuple[str, ...]
    prepare: Prepare | None = None
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[Path, ...] = ()
    version: str = ""
    hello: str | None = "/"
    health: str = "/health"
    proxy: str | None = None
    idle: str | None = None
    tokens: str | None = None
    body: str | None = None
    patience: float = 30
    tree: Path = HERE.parent  # of the checkout whose code it runs

    @property
    def is_ours(self) -> bool:
        return "runtime.cli" in self.command

    @property
    def python_path(self) -> str:
        return ":".join(filter(None, (str(self.tree), self.environment.get("PYTHONPATH"))))

    @property
    def missing(self) -> Path | None:
        return next((path for path in self.needs if not path.exists()), None)

    @contextmanager
    def run(
        self, *, interval_ms: float = 10, target: str = "", ready: bool = True, pinned: bool = True
    ) -> Iterator[Running]:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        port = free_port()
        words = {"port": str(port), "folder": str(folder / "project"), "target": target}
        (folder / "project").mkdir()
        if self.prepare is not None:
            self.prepare(folder / "project", port, target)
        command = [_filled(part, words) for part in self.command]
        is_paced = self.tokens or "PACED_TOKENS" in self.environment
        paced = {"PACED_MS": str(interval_ms), "PACED_LOG": str(folder / "paced.log")} if is_paced else {}
        # Bytecode is kept, as a user's Python does, or each launch would compile all of it.
        kept = {"PYTHONPATH": self.python_path, "PYTHONDONTWRITEBYTECODE": ""}
        environment = {**os.environ, **paced, **self.environment, **kept}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder / "project",
                env=environment, start_new_session=True,
                preexec_fn=machine.prepare(machine.SERVER if pinned else None),
            )  # fmt: skip
        running = Running(port, process, folder)
        try:
            if ready:
                self._wait(running)
            yield running
        except (OSError, LoadError) as error:
            raise LoadError(f"{error}\n{running.log()[-2000:]}") from error
        finally:
            stop(process)
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, running: Running) -> None:
        until(running, self.hello or self.health, self.patience)
        if self.tokens:
            for _ in range(3):  # everything loaded, every path gone once
                first_bytes(running.port, self.tokens, self.body, self.patience)


def _filled(part: str, words: dict[str, str]) -> str:
    """Braces of other things, as of an engine's argument in JSON, stay."""
    for name, value in words.items():
        part = part.replace(f"{{{name}}}", value)
    return part


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(running: Running, path: str, patience: float, pause: float = 0.002) -> float:
    """Seconds from the start of the process to its first 200."""
    while time.perf_counter() - running.started < patience:
        with suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=patience) as answer:
                answer.read(1)
            return time.perf_counter() - running.started
        if running.process.poll() is not None:
            break
        time.sleep(pause)
    raise RuntimeError(f"did not answer:\n{running.log()[-2000:]}")


def first_bytes(port: int, path: str, body: str | None, within: float = 60) -> bytes:
    """The beginning of a stream, which is then left."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        body.encode() if body else None,
        {"content-type": "application/json"} if body else {},
    )
    with urllib.request.urlopen(request, timeout=within) as answer:
        return bytes(answer.read(200))


def stop(process: subprocess.Popen[bytes]) -> None:
    """The whole family: some servers leave children behind."""
    family = machine.family(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in family:
        with suppress(Exception):
            left.kill()
