"""``run`` behind both doors, driven by a real engine: answers, streams byte by byte, refusals, leaving."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from bindings.ai.catalog.resolve import EMBEDDED, Catalog
from bindings.ai.engine.protocol import Delta, EngineError, EngineSpec
from bindings.ai.error_table import CAPACITY
from bindings.ai.errors import ModelError
from bindings.ai.service import ServiceSettings
from runtime.errors import UserError
from service_support import INT8, USAGE, Scripted, echo, read, serve

# run


async def test_a_whole_answer() -> None:
    answer = await serve(await echo()).run(INT8, {"prompt": "New York"}, request_id="id")
    assert answer.json == {"response": "New York", "tool_calls": [], "usage": USAGE}
    assert answer.headers == {"cf-ai-req-id": "id", "cf-ai-neurons": "0", "cf-ai-stand-in": "echo"}


async def test_a_stream_byte_by_byte() -> None:
    answer = await serve(await echo()).run(INT8, {"prompt": "New York", "stream": True})
    assert answer.stream is not None
    assert answer.headers["content-type"] == "text/event-stream"
    assert await read(answer.stream) == (
        b'data: {"response":"New"}\n\n'
        b'data: {"response":" York"}\n\n'
        b'data: {"response":"","usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n\n'
        b"data: [DONE]\n\n"
    )
    stats = answer.stream.stats
    assert (stats.model, stats.tokens, stats.prompt_tokens, stats.finish_reason) == (INT8, 2, 2, "stop")
    assert stats.first is not None


async def test_a_chunk_leaves_before_the_next_is_made() -> None:
    answer = await serve(await echo(rate=20)).run(INT8, {"prompt": "a b c", "stream": True})
    assert answer.stream is not None
    assert await anext(answer.stream) == b'data: {"response":"a"}\n\n'
    assert answer.stats.tokens == 1
    await answer.stream.aclose()


async def test_padding_when_asked_for() -> None:
    service = serve(await echo(tokens=100), padding=True)
    answer = await service.run(INT8, {"prompt": "a", "stream": True})
    assert answer.stream is not None
    assert b'{"response":" a","p":"ab' in await read(answer.stream)


async def test_part_of_a_character_makes_no_event() -> None:
    engine = Scripted([Delta("", 1, 3), Delta("é", 1, 3), Delta("", 1, 3, "length")])
    answer = await serve(engine).run(INT8, {"prompt": "a", "stream": True})
    assert answer.stream is not None
    events = (await read(answer.stream)).decode().split("\n\n")
    assert events[0] == 'data: {"response":"é"}'
    assert '"completion_tokens":3' in events[1]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_comes_before_the_answer_begins(stream: bool) -> None:
    service = serve(await echo())
    with pytest.raises(ModelError) as caught:
        await service.run(INT8, {"prompt": "hi", "max_tokens": 1801, "stream": stream})
    assert (caught.value.code, caught.value.status) == (5021, 413)
    assert "(1801) exceeded this model context window limit (1800)" in caught.value.description


async def test_a_stream_begins_when_its_request_is_taken() -> None:
    told = [Delta("New", 1, 3), Delta(" York", 1, 3, "length")]
    plain = await serve(Scripted(told)).run(INT8, {"prompt": "a", "stream": True})
    taken = await serve(Scripted([Delta("", 0, 3), *told])).run(INT8, {"prompt": "a", "stream": True})
    assert plain.stream is not None
    assert taken.stream is not None
    assert taken.stats.first is None
    assert await read(taken.stream) == await read(plain.stream)
    assert taken.stats.first is not None
    whole = await serve(Scripted([Delta("", 0, 3), *told])).run(INT8, {"prompt": "a"})
    assert whole.json["response"] == "New York"


async def test_what_fails_between_taking_and_the_first_token() -> None:
    """It is an event of the stream; a gateway, which may try again, hears of it before the stream begins."""
    service = serve(Scripted([Delta("", 0, 3)], EngineError(CAPACITY, "Capacity exceeded")))
    answer = await service.run(INT8, {"prompt": "a", "stream": True})
    assert answer.stream is not None
    assert b'"code":3040' in await read(answer.stream)
    with pytest.raises(ModelError) as caught:
        await service.run(INT8, {"prompt": "a", "stream": True}, {"gateway": {"id": "any"}})
    assert (caught.value.code, caught.value.status) == (3040, 429)


async def test_a_stream_that_breaks_ends_with_an_error_event_and_no_done() -> None:
    engine = Scripted([Delta("New", 1, 2)], EngineError(CAPACITY, "Capacity exceeded"))
    answer = await serve(engine).run(INT8, {"prompt": "a", "stream": True}, request_id="id")
    assert answer.stream is not None
    assert await read(answer.stream) == (
        b'data: {"response":"New"}\n\n'
        b'data: {"errors":[{"message":"AiError: AiError: Capacity exceeded (id)","code":3040}],'
        b'"success":false,"result":{},"messages":[]}\n\n'
    )
    assert engine.live == 0


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (EngineError(CAPACITY, "Capacity exceeded"), 3040, "Capacity exceeded"),
        (UserError("no such file", where="/secret/path"), 3043, "no such file"),
        (ZeroDivisionError("secret"), 3043, "Internal server error"),
    ],
)
async def test_failures_are_the_contracts_errors(error: Exception, code: int, text: str) -> None:
    service = serve(Scripted([], error))
    with pytest.raises(ModelError) as caught:
        await service.run(INT8, {"prompt": "a"})
    assert caught.value.code == code
    assert text in caught.value.description
    assert "secret" not in caught.value.description
    assert service._observer.faults == ([error] if isinstance(error, ZeroDivisionError) else [])


# Leaving


@pytest.mark.parametrize("chunks", [0, 1])
async def test_closing_a_stream_aborts_the_engine(chunks: int) -> None:
    engine = await echo(rate=50, tokens=100_000)
    answer = await serve(engine).run(INT8, {"prompt": "a", "stream": True})
    assert answer.stream is not None
    for _ in range(chunks):
        await anext(answer.stream)
    assert engine.live == 1
    await answer.stream.aclose()
    assert engine.live == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_run_aborts_the_engine(stream: bool) -> None:
    engine = await echo(rate=1)
    task = asyncio.create_task(serve(engine).run(INT8, {"prompt": "a b", "stream": stream}))
    await asyncio.sleep(0.1)
    assert engine.live == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.live == 0


# Configuration


async def test_a_stand_in_is_announced_once() -> None:
    service = serve(await echo())
    for _ in range(3):
        await service.run(INT8, {"prompt": "a"})
        service.reconfigure(Catalog(), service.settings)
    assert service._observer.notes == [f"{INT8}: no weights for it here, echo stands in"]


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed, and its rows are refused")
async def test_a_new_catalog_keeps_the_engines_in_use_and_those_to_preload(tmp_path: Path) -> None:
    service = serve(await echo())
    await service.run(INT8, {"prompt": "a"})
    file = tmp_path / "models.yaml"
    file.write_text("mine: {engine: vllm, model: acme/mine, preload: true}\n")
    service.reconfigure(Catalog.load(file), service.settings, preload=True)
    await asyncio.sleep(0)
    mine, used = EngineSpec(engine="vllm", model="acme/mine"), EngineSpec(engine="echo", model="echo")
    assert service.pool.asked[-1] == mine
    assert mine in service.pool.kept
    assert used in service.pool.kept


async def test_the_embedded_model_is_preloaded_where_it_will_answer() -> None:
    service = serve(await echo())
    for engine, asked in (("echo", []), ("llamacpp", [EMBEDDED])):
        service.reconfigure(Catalog(), ServiceSettings(engine=engine), preload=True)
        assert service.pool.asked == asked
