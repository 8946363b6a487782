"""models/schema and the checks say the same: what matches a model's schema is taken, what does not is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bindings.ai.catalog.models import Model
from bindings.ai.catalog.resolve import Catalog
from bindings.ai.errors import ModelError
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import text_generation
from bindings.ai.schemas import schemas
from bindings.ai.tasks import embeddings, ranking, speech

CATALOG = Catalog()
NEWER, OLDER = "@cf/meta/llama-2-7b-chat-int8", "@cf/meta/llama-2-7b-chat-fp16"
OPENAI, VISION = "@cf/openai/gpt-oss-20b", "@cf/mistralai/mistral-small-3.1-24b-instruct"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

numbers = st.sampled_from([0, 1, 2, 3, 50, 51, -1, -2, 0.5, 1.0, 0.001, 2.5, 5, 6, 128, 129, 1e9, 9999999999, 1e11])
texts = st.sampled_from(["", "x", "low", "none", "hello"])
anything = st.one_of(numbers, texts, st.booleans(), st.just([]), st.just({}), st.just(["x"]), st.just({"a": 1}))
parts = st.one_of(
    st.just({"type": "text", "text": "hi"}),
    st.just({"type": "input_text", "text": "hi"}),
    st.just({"type": "audio"}),
    st.just({"type": "image_url", "image_url": {"url": PIXEL}}),
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
)
message = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "", 1]),
        "content": st.one_of(anything, st.lists(parts)),
        "tool_calls": st.lists(
            st.one_of(
                st.just({"name": "f", "arguments": {"x": 1}}),
                st.just({"function": {"name": "f", "arguments": "{}"}}),
                st.just({"function": {"arguments": "{}"}}),
                st.just("f"),
            ),
            min_size=1,
            max_size=2,
        ),
    },
)
tool = st.sampled_from(
    [
        {"name": "f"},
        {"name": ""},
        {"name": "f", "description": "d", "parameters": {"$schema": "x"}},
        {"name": "f", "parameters": 1},
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {}},
        {},
        "f",
    ]
)
formats = st.sampled_from(
    [
        {"type": "json_object"},
        {"type": "text"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"type": "object"}},
        {"type": "xml"},
        {},
        "json_object",
    ]
)
choices = st.sampled_from(["auto", "none", "sometimes", 1])


def often(one: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Each half of the time, however many branches ``other`` has."""
    return st.booleans().flatmap(lambda first: one if first else other)


def inputs(model: Model) -> st.SearchStrategy[Fields]:
    """A request that is good or nearly so, with an option or two of any value."""
    special = {
        "response_format": formats,
        "lora": texts,
        "stop": st.one_of(anything, st.lists(texts, max_size=2)),
        "logit_bias": st.sampled_from([{}, {"1": 5}, {"1": 500}, {"x": 1}, {"1": "a"}, []]),
        "reasoning_effort": st.sampled_from(["low", "none", "much", 1]),
        "prompt": anything,
        "guided_json": st.sampled_from([{"type": "object"}, {"properties": {}}, "x", 1]),
    }
    known = {
        name: often(st.sampled_from([limits["minimum"], limits["maximum"]]), anything)
        if "minimum" in limits
        else special.get(name, often(st.sampled_from([{}, True]), anything))
        for name, limits in schemas.of(model)["input"]["oneOf"][0]["properties"].items()
    }
    option = st.sampled_from([*known]).flatmap(lambda name: st.tuples(st.just(name), known[name]))
    spoken = st.lists(st.just({"role": "user", "content": "x"}) | message, min_size=1, max_size=2)
    talk = st.fixed_dictionaries(
        {"messages": spoken | anything}, optional={"tools": st.lists(tool, max_size=1), "tool_choice": choices}
    )
    hello = {"messages": [{"role": "user", "content": "x"}]}
    bases = often(st.sampled_from([{"prompt": "x"}, hello, {**hello, "tools": [{"name": "f"}]}, {}]), talk)
    return st.builds(lambda base, more: {**base, **dict(more)}, bases, st.lists(option, max_size=2))


def taken(asked: Fields, model: Model) -> bool:
    try:
        text_generation(asked, model)
    except ModelError:
        return False
    return True


def fits(asked: Any, model: Model) -> bool:
    return validator(model.id).is_valid(asked)


@functools.cache
def validator(id: str) -> Any:
    return jsonschema_rs.validator_for(schemas.of(CATALOG.model(id))["input"])


def outside(asked: Fields) -> bool:
    """What the checks know beyond a schema: a wrong shape beside a good one; JSON mode in a stream; ``best_of`` beside
    ``n`` or in a stream; and a list of one prompt is one."""
    both = {"prompt", "messages"} <= asked.keys()
    best = "best_of" in asked and not {"n", "stream"}.isdisjoint(asked)
    together = asked.get("stream") and ("response_format" in asked or "guided_json" in asked)
    return bool(both or best or together or isinstance(asked.get("prompt"), list))


@pytest.mark.parametrize("id", [NEWER, OLDER, OPENAI, VISION])
def test_text_generation(id: str) -> None:
    model = CATALOG.model(id)

    @FEW
    @given(inputs(model))
    @example({"prompt": "x"})
    @example({"messages": [{"role": "user", "content": "x"}]})
    @example({})
    def agree(asked: Fields) -> None:
        if not outside(asked):
            assert fits(asked, model) == taken(asked, model), asked

    agree()


@pytest.mark.parametrize("shape", [{"prompt": "x"}, {"messages": [{"role": "user", "content": "x"}]}])
@pytest.mark.parametrize("best_of", [1, 2, 128, 129])
def test_several_to_choose_from_are_a_completions_alone(shape: Fields, best_of: int) -> None:
    asked = {**shape, "best_of": best_of}
    well = best_of == 1 or ("prompt" in shape and best_of <= 128)
    model = CATALOG.model(OPENAI)
    assert (fits(asked, model), taken(asked, model)) == (well, well)


RANGES = [
    (id, name, limits)
    for id in (NEWER, OLDER, OPENAI)
    for name, limits in schemas.of(CATALOG.model(id))["input"]["oneOf"][0]["properties"].items()
    if "minimum" in limits
]


@pytest.mark.parametrize(("id", "name", "limits"), RANGES, ids=[f"{id} {name}" for id, name, _ in RANGES])
def test_every_limit_is_the_checks_own(id: str, name: str, limits: dict[str, Any]) -> None:
    model, low, high = CATALOG.model(id), limits["minimum"], limits["maximum"]
    for value, good in ((low, True), (high, True), (low - 1, False), (high * 2 + 1, False)):
        if name != "n":
            assert taken({"prompt": "x", name: value}, model) is fits({"prompt": "x", name: value}, model) is good


def test_what_a_model_takes_is_in_its_schema() -> None:
    _, chat = schemas.of(CATALOG.model(VISION))["input"]["oneOf"]
    assert "image_url" in str(chat["properties"]["messages"])
    assert {"lora", "ignore_eos"} <= chat["properties"].keys()
    _, plain = schemas.of(CATALOG.model(NEWER))["input"]["oneOf"]
    assert "image_url" not in str(plain["properties"]["messages"])
    assert not {"lora", "ignore_eos"} & plain["properties"].keys()
    assert plain["properties"]["max_tokens"]["default"] == 256


CONTEXTS = [{"text": "x"}]
TASKS: list[tuple[str, Callable[[Fields, Model], Any], list[Fields]]] = [
    (
        "@cf/baai/bge-base-en-v1.5",
        lambda fields, model: embeddings._text_form(fields, 100),
        [
            {"text": "x"},
            {"text": ["x"] * 100},
            {"text": ["x"] * 101},
            {"text": []},
            {"text": ""},
            {"text": [""]},
            {},
            {"text": "x", "pooling": "cls"},
            {"text": "x", "pooling": "max"},
            {"text": 1},
        ],
    ),
    (
        "@cf/baai/bge-m3",
        lambda fields, model: embeddings._m3_form(fields, 100),
        [
            {"text": "x"},
            {"contexts": CONTEXTS},
            {"query": "x", "contexts": CONTEXTS},
            {"query": "x"},
            {"contexts": []},
            {"contexts": [{}]},
            {"text": "x", "truncate_inputs": True},
            {"text": "x", "truncate_inputs": 1},
        ],
    ),
    (
        "@cf/qwen/qwen3-embedding-0.6b",
        lambda fields, model: embeddings._qwen_form(fields, model.max_batch or 100),
        [
            {"queries": "x"},
            {"documents": ["x"]},
            {"text": "x", "instruction": "i"},
            {"instruction": "i"},
            {"queries": ["x"] * 32},
            {"queries": ["x"] * 33},
            {"text": "x", "instruction": ""},
        ],
    ),
    (
        "@cf/baai/bge-reranker-base",
        lambda fields, model: ranking._rerank_complaints(fields),
        [
            {"query": "x", "contexts": CONTEXTS},
            {"query": "x", "contexts": CONTEXTS, "top_k": 1},
            {"query": "x"},
            {},
            {"query": "x", "contexts": CONTEXTS, "top_k": 0},
            {"query": "", "contexts": CONTEXTS},
        ],
    ),
    (
        "@cf/openai/whisper-large-v3-turbo",
        lambda fields, model: speech._complaints(fields),
        [
            {"audio": "AAAA"},
            {"audio": [0, 255]},
            {},
            {"audio": "AAAA", "task": "translate"},
            {"audio": "AAAA", "task": "sing"},
            {"audio": "AAAA", "language": ""},
        ],
    ),
]


@pytest.mark.parametrize(("id", "complaints", "cases"), TASKS, ids=[id for id, _, _ in TASKS])
def test_the_other_tasks(id: str, complaints: Callable[..., Any], cases: list[Fields]) -> None:
    model = CATALOG.model(id)
    verdicts = [fits(asked, model) for asked in cases]
    assert verdicts == [not list(complaints(asked, model)) for asked in cases]
    assert {True, False} == set(verdicts)


def test_every_models_schema_is_one() -> None:
    for model in CATALOG.models():
        for half in schemas.of(model).values():
            jsonschema_rs.validator_for(half)


USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
ANSWERS = [
    (NEWER, {"response": "x", "tool_calls": [], "usage": USAGE}),
    ("@cf/baai/bge-base-en-v1.5", {"shape": [1, 2], "data": [[0.1, 0.2]], "pooling": "mean"}),
    ("@cf/baai/bge-m3", {"response": [{"id": 0, "score": 0.5}]}),
    ("@cf/baai/bge-reranker-base", {"response": [{"id": 0, "score": 0.5}]}),
    ("@cf/huggingface/distilbert-sst-2-int8", [{"label": "POSITIVE", "score": 1.0}]),
    ("@cf/llava-hf/llava-1.5-7b-hf", {"description": "x"}),
]


@pytest.mark.parametrize(("id", "answer"), ANSWERS, ids=[id for id, _ in ANSWERS])
def test_the_contracts_answers_fit(id: str, answer: Any) -> None:
    assert jsonschema_rs.is_valid(schemas.of(CATALOG.model(id))["output"], answer)
    assert not jsonschema_rs.is_valid(schemas.of(CATALOG.model(id))["output"], {"nothing": True})
