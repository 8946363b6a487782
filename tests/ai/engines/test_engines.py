"""One contract, every engine: what ``bindings.ai.engine.protocol`` promises, asked of real models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
import pytest_asyncio

from bindings.ai.engine.protocol import Delta, EngineError, EngineLost, EngineSpec, Generate
from bindings.ai.engines.openai.engine import OpenAIEngine
from engines_support import LONG, Engines, collect, live, until_live
from models_support import RECITAL, ask, silent, text_of, tokens_of
from runtime.errors import UserError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    engines = Engines(tmp_path_factory.mktemp("models"))
    yield engines
    await engines.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["echo", "llamacpp", "openai", "vllm"])
async def engine(engines: Engines, request: pytest.FixtureRequest) -> Any:
    return await engines.get(request.param)


async def test_it_says_what_it_is(engine: Any) -> None:
    assert engine.info.engine in ("echo", "llamacpp", "openai", "vllm")
    assert engine.info.model
    assert engine.info.version
    assert engine.info.device


async def test_deltas_arrive_one_by_one_and_end_with_a_reason(engine: Any) -> None:
    deltas = await collect(engine, ask(LONG))
    assert len(deltas) > 3
    assert text_of(deltas).strip()
    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason in ("stop", "length")


async def test_greedy_answers_are_equal(engine: Any) -> None:
    assert text_of(await collect(engine, ask())) == text_of(await collect(engine, ask()))


async def test_a_request_like_one_before_is_answered_alike(engine: Any) -> None:
    """Settings and shapes of chats that an engine has seen may take another way than the first with them."""
    prompt = ask().prompt
    alike: list[dict[str, Any]] = [
        {"prompt": prompt, "raw": True},
        {"messages": [{"role": "user", "content": "one two"}]},
        {"messages": [{"role": role, "content": f"one {role}"} for role in ("user", "assistant", "user")]},
    ]
    for asked in alike:
        request = ask(**{"prompt": None, "temperature": 0.0, "max_tokens": 9, **asked})
        first, *others = [await collect(engine, request) for _ in range(3)]
        for other in others:
            assert text_of(other) == text_of(first)
            assert tokens_of(other) == tokens_of(first) <= 9
            assert other[-1].prompt_tokens == first[-1].prompt_tokens
        fewer = await collect(engine, ask(**{"prompt": None, "temperature": 0.0, "max_tokens": 2, **asked}))
        assert tokens_of(fewer) == min(2, tokens_of(first))


async def test_a_seed_repeats_the_answer(engine: Any) -> None:
    request = ask(temperature=1.0, seed=9_999_999_999, max_tokens=24)
    assert text_of(await collect(engine, request)) == text_of(await collect(engine, request))


async def test_max_tokens_is_kept(engine: Any) -> None:
    deltas = await collect(engine, ask(LONG, max_tokens=5))
    assert tokens_of(deltas) == 5
    assert deltas[-1].finish_reason == "length"


async def test_one_token(engine: Any) -> None:
    deltas = await collect(engine, ask(LONG, max_tokens=1))
    assert tokens_of(deltas) == 1
    assert deltas[-1].finish_reason == "length"


async def test_a_stop_string_ends_the_answer_and_is_left_out(engine: Any) -> None:
    whole = text_of(await collect(engine, ask(LONG, max_tokens=12)))
    stop = whole.split()[2]
    deltas = await collect(engine, ask(LONG, max_tokens=12, stop=[stop]))
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize("turned", [False, True])
async def test_of_several_stop_strings_the_one_that_begins_first_counts(engine: Any, turned: bool) -> None:
    whole = text_of(await collect(engine, ask(LONG, max_tokens=12)))
    _, first, second, *_ = whole.split()
    across = whole[whole.index(first) : whole.index(second) + len(second)]
    for stops in ([first[-1:], first], [second, across], ["never said", across[2:], across]):
        stops = [*reversed(stops)] if turned else stops
        deltas = await collect(engine, ask(LONG, max_tokens=12, stop=stops))
        assert text_of(deltas) in [whole[: whole.index(stop)] for stop in stops if stop in whole]
        assert text_of(deltas) == min((whole[: whole.index(stop)] for stop in stops if stop in whole), key=len)
        assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1])
async def test_every_whole_number_is_a_seed(engine: Any, seed: int) -> None:
    if engine.info.engine == "openai":
        pytest.skip("it passes the seed on, and llama.cpp's own server takes -1 for none")
    request = ask(temperature=1.0, seed=seed, max_tokens=24, n=2 if "n" in engine.info.features else 1)
    assert by_index(await collect(engine, request)) == by_index(await collect(engine, request))


def by_index(deltas: list[Delta]) -> list[str]:
    """The text of each answer."""
    return [text_of([one for one in deltas if (one.extra.index if one.extra else 0) == n]) for n in range(2)]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 5.0},
        {"top_p": 0.001},
        {"top_p": 1.0},
        {"top_k": 1},
        {"top_k": 50},
        {"repetition_penalty": 0.01},
        {"repetition_penalty": 2.0},
        {"frequency_penalty": -2.0, "presence_penalty": -2.0},
        {"frequency_penalty": 2.0, "presence_penalty": 2.0},
    ],
)
async def test_the_published_ranges_are_taken_to_their_ends(engine: Any, fields: dict[str, Any]) -> None:
    assert await collect(engine, ask(**{"temperature": 0.9, "seed": 1, "max_tokens": 3, **fields}))


async def test_the_prompt_is_counted_from_the_first_delta_on(engine: Any) -> None:
    short, long = await collect(engine, ask("a")), await collect(engine, ask("a b c d e f g h"))
    assert long[-1].prompt_tokens - short[-1].prompt_tokens == 7
    if engine.info.engine != "openai":  # which hears of it at the end
        assert {delta.prompt_tokens for delta in short} == {short[0].prompt_tokens}


async def test_a_prompt_is_a_user_message_unless_raw(engine: Any) -> None:
    message = await collect(engine, ask("hello"))
    prompt = await collect(engine, Generate(prompt="hello", temperature=0, max_tokens=16))
    raw = await collect(engine, Generate(prompt="hello", raw=True, temperature=0, max_tokens=16))
    assert text_of(prompt) == text_of(message)
    assert prompt[-1].prompt_tokens == message[-1].prompt_tokens >= raw[-1].prompt_tokens


async def test_every_sampling_parameter_is_taken(engine: Any) -> None:
    assert await collect(
        engine,
        ask(
            temperature=0.9,
            top_p=0.9,
            top_k=20,
            seed=3,
            repetition_penalty=1.2,
            frequency_penalty=0.5,
            presence_penalty=0.5,
            max_tokens=3,
        ),
    )


@pytest.mark.parametrize(
    ("limits", "number", "limit"),
    [
        ({"context_window": 20, "max_tokens": 100}, None, 20),
        ({"max_tokens": 5000}, None, None),
        ({"max_input_tokens": 1}, None, 1),
        ({"max_output_tokens": 10, "max_tokens": 11}, 11, 10),
    ],
)
async def test_what_cannot_fit_is_refused_before_inference(
    engine: Any, limits: dict[str, int], number: int | None, limit: int | None
) -> None:
    if limit is None and engine.info.context_window is None:
        pytest.skip("the server behind it knows its window, and nobody else")
    with pytest.raises(EngineError) as caught:
        await collect(engine, ask(LONG, **limits))
    assert (caught.value.code, caught.value.row.status, caught.value.name) == (5021, 413, "Ai")
    assert number is None or f"({number})" in str(caught.value)
    assert f"({limit or engine.info.context_window})" in str(caught.value)
    assert await live(engine) == 0


async def test_who_stops_reading_stops_the_model(engine: Any, record_property: Any) -> None:
    for number in range(5):  # as below
        async with aclosing(engine.generate(endless(engine, stop=["never seen"]), f"left{number}")) as deltas:
            async for _ in deltas:
                break
            if was := await live(engine):
                break
    assert was == 1
    record_property("abort_ms", 1000 * await until_live(engine, 0))


async def test_who_is_cancelled_stops_the_model(engine: Any) -> None:
    for number in range(5):  # where others keep the machine busy, an answer may be over before anybody looks
        begun = asyncio.Event()
        reader = asyncio.create_task(_read(engine, f"cancelled{number}", begun))
        reader.add_done_callback(lambda _, begun=begun: begun.set())
        await begun.wait()
        if await live(engine):
            break
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await until_live(engine, 0)


async def _read(engine: Any, name: str, begun: asyncio.Event) -> None:
    async with aclosing(engine.generate(endless(engine), name)) as deltas:
        async for _ in deltas:
            begun.set()


async def test_many_at_once(engine: Any) -> None:
    requests = [ask(f"{word} {LONG}", max_tokens=8) for word in LONG.split()]
    answers = await asyncio.gather(*(collect(engine, r, f"many{n}") for n, r in enumerate(requests)))
    assert all(0 < tokens_of(deltas) <= 8 for deltas in answers)
    assert await live(engine) == 0


async def test_characters_never_arrive_in_halves(engine: Any) -> None:
    text = "Repeat: 你好，世界 🙂👍🏽 žluťoučký kůň"
    deltas = await collect(engine, ask(text, max_tokens=40))
    assert text_of(deltas)
    assert "\ufffd" not in text_of(deltas).rstrip("\ufffd")


def endless(engine: Any, **fields: object) -> Generate:
    """As long an answer as fits: however slow the machine, it is still being made when a test looks."""
    window = engine.info.context_window or 512
    return ask("count " * 50, max_tokens=window - 300, **fields)


# What only one engine promises


async def test_llamacpp_queues_what_its_slots_cannot_take(engines: Engines) -> None:
    engine = await engines.get("llamacpp")
    readers = [asyncio.create_task(collect(engine, ask(LONG, max_tokens=200))) for _ in range(4)]
    await until_live(engine, 2)
    for reader in reversed(readers):
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await until_live(engine, 0)
    assert await collect(engine, ask(LONG, max_tokens=2)), "every slot is free again"


async def test_llamacpp_stops_while_it_reads_the_prompt(engines: Engines, record_property: Any) -> None:
    engine = await engines.get("llamacpp")
    reader = asyncio.create_task(collect(engine, ask("count " * 400, seed=1)))
    await until_live(engine, 1)
    reader.cancel()
    record_property("abort_ms", 1000 * await until_live(engine, 0))


async def test_openai_leaves_its_server_at_once(engines: Engines, record_property: Any) -> None:
    import aiohttp

    engine = await engines.get("openai")
    address = engines._upstream.listening_address
    async with aclosing(engine.generate(ask("count", max_tokens=2000), "left")) as deltas:
        await anext(deltas)
    start = time.monotonic()
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            async with session.get(f"{address}/slots") as response:
                if not any(slot["is_processing"] for slot in await response.json()):
                    break
    record_property("abort_ms", 1000 * (time.monotonic() - start))


async def test_openai_passes_a_refusal_on(engines: Engines) -> None:
    engine = await engines.get("openai")
    with pytest.raises(EngineError) as caught:
        await collect(engine, ask("count " * 6000))
    assert (caught.value.code, caught.value.row.status) == (8007, 400)
    assert "context" in caught.value.description


async def test_openai_says_what_is_wrong(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for options, message in [
        ({}, "no server is named"),
        ({"base": "x"}, "base"),
        ({"base_url": "http://me:s3cret@127.0.0.1:9/v1", "api_key": "sk-hidden"}, "no server answers"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            await OpenAIEngine.open(EngineSpec(engine="openai", model="m", options=options), silent)
        assert "s3cret" not in str(caught.value)
        assert "sk-hidden" not in str(caught.value)


async def test_vllm_recites_and_never_breaks_a_character(engines: Engines) -> None:
    deltas = await collect(await engines.get("vllm"), ask("hello", max_tokens=45))
    assert text_of(deltas) == " " + " ".join([RECITAL] * 3)
    assert tokens_of(deltas) == 45


def strays(number: int, **fields: object) -> Generate:
    """Another text for every number, half of them hot enough for lone bytes and the end token too.

    The prompt is short: vLLM on a CPU dies of a seed where a prompt does not fit its step.
    """
    return ask(str(number), temperature=(0.7, 2.0)[number % 2], seed=number, max_tokens=40, **fields)


async def test_vllm_plain_text_is_what_its_own_detokenizer_says(engines: Engines) -> None:
    engine, own = await engines.get("vllm"), {"stop": ["never said"]}  # a stop string needs vLLM's own path
    for wave in (range(80), range(120, 200)):  # of 22 tokens each, which are fewer than a step takes
        ours = await asyncio.gather(*(collect(engine, strays(number)) for number in wave))
        theirs = await asyncio.gather(*(collect(engine, strays(number, **own)) for number in wave))
        for our, their in zip(ours, theirs, strict=True):
            assert text_of(our) == text_of(their)
            assert tokens_of(our) == tokens_of(their)
            assert (our[-1].finish_reason, our[-1].prompt_tokens) == (their[-1].finish_reason, their[-1].prompt_tokens)
        assert {deltas[-1].finish_reason for deltas in ours} == {"stop", "length"}
        assert any("🙂" in text_of(deltas) for deltas in ours)
        assert any("\ufffd" in text_of(deltas) for deltas in ours), "bytes that are no character are among them"
    assert await live(engine) == 0


async def test_vllm_steps_for_both_ways_at_once(engines: Engines) -> None:
    engine, own = await engines.get("vllm"), {"stop": ["never said"]}
    asked = [ask(str(number), max_tokens=40 + number, **(own if number % 2 else {})) for number in range(12)]
    alone = [text_of(await collect(engine, one)) for one in asked]
    for _ in range(3):
        together = await asyncio.gather(*(collect(engine, one) for one in asked))
        assert [text_of(deltas) for deltas in together] == alone
        assert [tokens_of(deltas) for deltas in together] == [one.max_tokens for one in asked]
    assert await live(engine) == 0


async def test_vllm_says_plain_text_in_one_piece_where_that_is_read(engines: Engines) -> None:
    engine = await engines.get("vllm")
    for number in range(20):
        pieces, whole = [await collect(engine, strays(number, whole=each)) for each in (False, True)]
        assert text_of(whole) == text_of(pieces)
        assert tokens_of(whole) == tokens_of(pieces)
        assert whole[-1].finish_reason == pieces[-1].finish_reason
        assert [delta.tokens for delta in whole if delta.tokens][:-1] in ([], [1])
    for number in range(5):  # as above, of one that is cancelled
        async with aclosing(engine.generate(endless(engine, whole=True), f"left{number}")) as deltas:
            await anext(deltas)
            if there := await live(engine):
                break
    assert there == 1
    await until_live(engine, 0)


async def test_vllm_streams_that_end_early_leave_the_others_alone(engines: Engines) -> None:
    engine = await engines.get("vllm")

    async def first(number: int) -> None:
        async with aclosing(engine.generate(endless(engine), f"early{number}")) as deltas:
            await anext(deltas)

    asked = [ask(str(number), max_tokens=40 + number) for number in range(5)]  # a seed may depend on the company
    alone = [text_of(await collect(engine, one)) for one in asked]
    several = await asyncio.gather(*(collect(engine, one) for one in asked), *map(first, range(50)))
    assert [text_of(deltas) for deltas in several[:5] if deltas is not None] == alone
    await until_live(engine, 0)


async def test_vllm_refuses_what_its_sampler_cannot_do(engines: Engines) -> None:
    with pytest.raises(EngineError) as caught:
        await collect(await engines.get("vllm"), ask("hello", repetition_penalty=0.0))
    assert (caught.value.code, caught.value.row.status) == (8007, 400)


async def test_vllm_is_told_of_tools_in_words_where_its_template_knows_none(engines: Engines) -> None:
    engine = await engines.get("vllm")
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    taught = await collect(engine, ask("hello", tools=[tool], max_tokens=3))
    assert text_of(taught) == " one two three", "what it says of its own accord is no call"
    assert taught[0].prompt_tokens - (await collect(engine, ask("hello")))[0].prompt_tokens > 100
    forced = await collect(engine, ask("hello", tools=[tool], tool_choice="required", max_tokens=200))
    [begun, *_] = [piece["function"] for delta in forced if delta.extra for piece in delta.extra.tool_calls]
    assert (begun["name"], forced[-1].finish_reason) == ("f", "tool_calls")


async def test_vllm_has_taken_a_request_before_its_model_says_anything(engines: Engines) -> None:
    client = await engines.get("vllm")
    async with stopped(client) as model, aclosing(client.generate(ask("hello", max_tokens=3), "taken")) as deltas:
        async with asyncio.timeout(10):
            first = await anext(deltas)
        for child in model:
            child.resume()
        rest = [delta async for delta in deltas]
    assert first.is_empty
    assert first.prompt_tokens == rest[-1].prompt_tokens
    assert (text_of(rest), tokens_of(rest)) == (" one two three", 3)
    with pytest.raises(EngineError) as caught:
        await collect(client, ask("hello " * 5000))
    assert caught.value.row.status == 413


@asynccontextmanager
async def stopped(client: Any) -> AsyncIterator[list[psutil.Process]]:
    """The model's own processes, which do nothing until they are resumed, or the block ends."""
    model = psutil.Process(client.pid).children(recursive=True)
    for child in model:
        child.suspend()
    try:
        yield model
    finally:
        for child in model:
            with suppress(psutil.NoSuchProcess):
                child.resume()


async def test_vllm_that_loses_its_model_is_started_again(engines: Engines) -> None:
    client = await engines.get("vllm")
    model = psutil.Process(client.pid).children(recursive=True)
    for child in model:
        child.suspend()  # or, so small, it might be done before it is killed
    lost = asyncio.create_task(collect(client, ask("hello", max_tokens=3500)))
    await asyncio.sleep(0.5)
    for child in model:
        child.kill()
    with pytest.raises(EngineLost):
        await lost
    assert text_of(await collect(client, ask("hello", max_tokens=3))) == " one two three"
