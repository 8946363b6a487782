"""What tests of engines' features ask and expect."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import Delta, EngineError, EngineSpec
from bindings.ai.engines.accumulator import Choice, index_of
from engines_support import Engines, collect, live
from feature_models import talking_llama
from models_support import Said, ask, tokens_of


class Featured(Engines):
    """As ``Engines``, with a vLLM that thinks aloud and has adapters."""

    async def vllm(self) -> EngineClient:
        if find_spec("vllm") is None:
            pytest.skip("vLLM is not installed")
        spec = EngineSpec(
            engine="vllm",
            model=str(talking_llama(self._folder / "talking")),
            options={"enable_lora": True, "max_cpu_loras": 2},
        )
        client = EngineClient(spec, Said(), load_timeout=170)
        await client.ready()
        return client


def calls_of(deltas: list[Delta]) -> list[dict[str, Any]]:
    """The calls, put together from their pieces."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in (piece for delta in deltas if delta.extra for piece in delta.extra.tool_calls):
        call = calls.setdefault(piece["index"], {"id": "", "type": "", "name": "", "arguments": ""})
        for name in ("id", "type"):
            call[name] += piece.get(name) or ""
        for name, value in piece.get("function", {}).items():
            call[name] += value or ""
    return list(calls.values())


def said(deltas: list[Delta]) -> list[object]:
    """All but the calls' ids."""
    choices = [Choice() for _ in range(1 + max(map(index_of, deltas)))]
    for delta in deltas:
        choices[index_of(delta)].add(delta)
    calls = [[(call.name, call.arguments) for call in choice.calls.values()] for choice in choices]
    ends = [(choice.text, choice.reasoning, choice.logprobs, choice.finish_reason) for choice in choices]
    return [ends, calls, tokens_of(deltas), deltas[-1].prompt_tokens]


async def refused(engine: Any, **fields: Any) -> tuple[int, int, str]:
    with pytest.raises(EngineError) as caught:
        await collect(engine, ask(**fields))
    assert await live(engine) == 0
    return caught.value.code, caught.value.row.status, caught.value.description
