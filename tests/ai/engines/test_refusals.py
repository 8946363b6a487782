"""What engines refuse before a model is loaded, and what the echo says: nothing here needs a model."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineSpec, Generate, ModelUnavailable
from bindings.ai.engines.echo import EchoEngine
from bindings.ai.engines.llamacpp.engine import LlamaCppEngine
from engines_support import collect
from models_support import Said, silent, tiny_llama, tokens_of
from runtime.errors import ConfigError, UserError


async def test_echo_says_the_prompts_words_at_the_rate_asked() -> None:
    options = {"rate": 100, "tokens": 20}
    engine = await EchoEngine.open(EngineSpec(engine="echo", model="e", options=options), silent)
    start = time.monotonic()
    deltas = await collect(engine, Generate(prompt="where  is\nnew york?"))
    assert time.monotonic() - start >= 0.19
    assert [delta.text for delta in deltas[:5]] == ["where", " is", " new", " york?", " where"]
    assert tokens_of(deltas) == 20


async def test_echo_refuses_unknown_options() -> None:
    with pytest.raises(ConfigError, match="rait"):
        await EchoEngine.open(EngineSpec(engine="echo", model="e", options={"rait": 1}), silent)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("/nowhere/m.gguf", {}, "there is no file"),
        (__file__, {}, "cannot load it"),
        ("embedded", {"n_thread": 2}, "unknown option 'n_thread'"),
        ("embedded", {"n_ctx": "lots"}, "n_ctx: must be a whole number, not 'lots'"),
        ("embedded", {"cache_type_k": "q8"}, "will not do"),
    ],
)
async def test_llamacpp_says_what_is_wrong(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        await LlamaCppEngine.open(EngineSpec(engine="llamacpp", model=model, options=options), silent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max-model-length": 1}, r"(?s)unknown option 'max-model-length'.*max_model_len"),
        ({"tool_call_parser": "hermit"}, r"(?s)no parser 'hermit'.*hermes.*none"),
        ({"reasoning_parser": "deepseek_r1"}, r"(?s)deepseek_r1 is not for this model.*none"),
    ],
)
async def test_vllm_names_the_options_it_knows(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    model = str(tiny_llama(tmp_path))
    client = EngineClient(EngineSpec(engine="vllm", model=model, options=options), Said())
    try:
        with pytest.raises(ModelUnavailable, match=message):
            await client.ready()
    finally:
        await client.aclose()
