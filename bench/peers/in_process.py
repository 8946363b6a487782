"""AsyncLLM alone, consumed in its own process without HTTP: the floor of vLLM's own output path.

    in_process.py MODEL PORT

Measures when it is asked to, by a line on PORT, and answers with a line of JSON, numbers as ``load.c`` has them:

    stream STREAMS SECONDS   a window of so many streams; ``server_s`` is this process's CPU time, without EngineCore's
    first STREAMS REPEATS    the time to the first token

A line that begins with GET is answered with 200: it is there.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

ASKED = "Where is New York?"
MAX_TOKENS = 3000


async def main(model: str, port: int) -> None:
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    llm = AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=model,
            load_format="dummy",
            enforce_eager=True,
            max_model_len=65536,
            kv_cache_memory_bytes=1 << 30,
            gpu_memory_utilization=0.1,
            disable_log_stats=True,
        )
    )
    await run(llm, 1, 1.0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match (await reader.readline()).decode().split():
            case ["stream", streams, seconds]:
                writer.write(json.dumps(await run(llm, int(streams), 3.0, float(seconds))).encode() + b"\n")
            case ["first", streams, repeats]:
                writer.write(json.dumps(await first(llm, int(streams), int(repeats))).encode() + b"\n")
            case _:
                writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


async def run(llm: Any, streams: int, warm: float, seconds: float = 0) -> dict[str, Any]:
    state: dict[str, Any] = {"events": 0, "firsts": []}
    tasks = [asyncio.create_task(consume(llm, state)) for _ in range(streams)]
    await asyncio.sleep(warm)
    state["events"], cpu, began = 0, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    used, elapsed = time.process_time() - cpu, time.perf_counter() - began
    events = state["events"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return {"server_s": used, "events": events, "elapsed_us": elapsed * 1e6, **percentiles(state["firsts"])}


async def first(llm: Any, streams: int, repeats: int) -> dict[str, Any]:
    firsts: list[float] = []
    for _ in range(repeats):
        firsts += await asyncio.gather(*(one(llm) for _ in range(streams)))
        await asyncio.sleep(0.3 if streams > 1 else 0.053)
    return percentiles(firsts)


async def one(llm: Any) -> float:
    began, stream = time.perf_counter(), await generate(llm)
    try:
        await anext(stream)
        return time.perf_counter() - began
    finally:
        await stream.aclose()


async def consume(llm: Any, state: dict[str, Any]) -> None:
    began, seen = time.perf_counter(), False
    async for output in await generate(llm):
        state["events"] += len(output.outputs[0].token_ids)
        if not seen:
            seen = True
            state["firsts"].append(time.perf_counter() - began)


async def generate(llm: Any) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    generate.number += 1  # type: ignore[attr-defined]
    (prompt,) = await llm.renderer.render_cmpl_async([{"prompt": ASKED}])
    params = SamplingParams(max_tokens=MAX_TOKENS, ignore_eos=True, output_kind=RequestOutputKind.DELTA)
    return llm.generate(prompt, params, str(generate.number))  # type: ignore[attr-defined]


generate.number = 0  # type: ignore[attr-defined]


def percentiles(firsts: list[float]) -> dict[str, float]:
    ordered = sorted(firsts) or [0.0]
    return {"first_p50": ordered[len(ordered) // 2] * 1e6, "first_p99": ordered[len(ordered) * 99 // 100] * 1e6}


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
