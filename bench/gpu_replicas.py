"""``python -m bench.gpu_replicas``: replicas on this machine's GPU: two of a small model on one of them, kill -9 of one
under load, and models that make way for each other: asleep, awake again, and loaded anew.

Weights are made up (``load_format=dummy``), of ``--shape``; so level 2, which reads them again, is not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import time
from contextlib import aclosing

from bench import gpu_model
from bench.load import CACHE
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineError, EngineSpec, Generate
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool

OPTIONS = {"load_format": "dummy", "max_model_len": 2048, "dtype": "bfloat16", "enforce_eager": True}
STREAMS, TOKENS = 32, 1500
BEGAN = time.monotonic()


class Told:
    def warn(self, text: str) -> None:
        said(text[-3000:])

    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None: ...

    def progress_done(self, what: str, text: str) -> None:
        if text:
            said(text)


def said(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.2f} s  {text}", flush=True)


def used_mib() -> int:
    out = subprocess.run(
        ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(out.stdout.split()[0])


def group_of(pool: EnginePool, name: str, shape: str, placement: Placement, **options: object) -> Replicas:
    folder = gpu_model.make(shape, CACHE / f"gpu-{shape}-{name}")
    group = pool.get(EngineSpec(engine="vllm", model=str(folder), options={**OPTIONS, **options}), placement)
    assert isinstance(group, Replicas)
    return group


async def read(group: Replicas, name: str, tokens: int) -> str:
    """How a stream ended."""
    try:
        async with aclosing(group.generate(Generate(prompt=name, raw=True, max_tokens=tokens), name)) as deltas:
            made = sum([delta.tokens async for delta in deltas])
        return "whole" if made >= tokens else f"{made} tokens"
    except EngineError as error:
        return type(error).__name__


async def all_ready(group: Replicas) -> list[EngineClient]:
    clients = list(group.members.values())
    await asyncio.gather(*(client.serving() for client in clients))
    return clients


async def halves(shape: str) -> None:
    """Two on one GPU, one of which is killed under load."""
    pool = EnginePool(Told(), load_timeout=400)
    group = group_of(pool, "half", shape, Placement(minimum=2, maximum=2, gpus=0.4))
    clients = await all_ready(group)
    rooms = [dict(client.room.environment) for client in clients]
    said(f"two replicas are ready: {rooms}, {used_mib()} MiB")
    streams = [asyncio.create_task(read(group, f"conversation {number}", TOKENS)) for number in range(STREAMS)]
    await asyncio.sleep(2)
    said(f"in hand: {[client.live for client in clients]}")
    waiting = [asyncio.create_task(read(group, f"late {number}", 20)) for number in range(8)]
    before, victim, killed = used_mib(), clients[0], time.monotonic()
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    while not any(task.done() for task in streams):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    said(f"kill -9: the first stream is told after {(time.monotonic() - killed) * 1e3:.0f} ms")
    while await asyncio.to_thread(used_mib) > before * 0.75 and time.monotonic() - killed < 30:
        await asyncio.sleep(0.02)
    said(f"its memory is free after {time.monotonic() - killed:.2f} s ({before} -> {used_mib()} MiB)")
    ended = await asyncio.gather(*streams)
    lost = ended.count("EngineLost")
    said(f"streams: {ended.count('whole')} whole, {lost} broken off; retries unseen: {group.retries}")
    said(f"without a token when it died: {sorted(await asyncio.gather(*waiting))}")
    await all_ready(group)
    said(f"both are ready again {time.monotonic() - killed:.1f} s after the kill")
    await pool.aclose()


async def sleeping(shape: str) -> None:
    """Two models that need the whole GPU, in turns."""
    pool = EnginePool(Told(), load_timeout=400)
    one = Placement(gpus=1)
    names = ("one", "two")
    for turn in range(3):
        for name in names:
            began = time.monotonic()
            group = group_of(pool, name, shape, one, gpu_memory_utilization=0.6)
            await read(group, "first", 1)
            states = {each.name.rpartition("-")[2]: each.state for each in pool.groups}
            said(
                f"turn {turn}: model {name} answers after {time.monotonic() - began:.2f} s; {states}, {used_mib()} MiB"
            )
    await pool.aclose()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="llama-3.2-1b", choices=gpu_model.SHAPES)
    parser.add_argument("--only", choices=("halves", "sleeping"))
    options = parser.parse_args()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    if options.only != "sleeping":
        await halves(options.shape)
    if options.only != "halves":
        await sleeping(options.shape)


if __name__ == "__main__":
    asyncio.run(main())
