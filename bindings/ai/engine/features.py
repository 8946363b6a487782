"""What a request asks for beyond text, and what an engine can do: a refusal comes before generation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress

from bindings.ai.engine.protocol import EngineError, EngineInfo, Generate, bad_input
from bindings.ai.error_table import JSON_UNMET, NO_LORA

FEATURES = ("chat_template_kwargs", "ignore_eos", "image_url", "json_schema", "logit_bias", "logprobs", "lora", "n",
       "reasoning_effort", "tools")  # fmt: skip
CHAT_ONLY = {"chat_template_kwargs", "reasoning_effort", "tools"}
CLIENT_NAMES = {"json_schema": "response_format"}  # as the client calls it, where that is another word


def requested(request: Generate) -> Iterator[str]:
    """Those of ``FEATURES`` that the request uses."""
    used = (
        request.chat_template_kwargs,
        request.ignore_eos,
        any(True for _ in images(request)),
        request.json_schema is not None,
        request.logit_bias,
        request.logprobs is not None,
        request.lora,
        request.n > 1,
        request.reasoning_effort,
        request.tools,
    )
    return compress(FEATURES, used)


def images(request: Generate) -> Iterator[str]:
    """The address of every image among the messages."""
    for message in request.messages or []:
        if isinstance(content := message.get("content"), list):
            yield from (part["image_url"]["url"] for part in content if part.get("type") == "image_url")


def check(request: Generate, info: EngineInfo) -> None:
    """Raises EngineError for what the engine has not got: 405 / 5005 for an adapter, else 400 / 5006."""
    for name in requested(request):
        if name not in info.features:
            raise no_lora(info) if name == "lora" else refused(name, info.engine)
        if name in CHAT_ONLY and request.raw and request.messages is None:
            raise bad_input(f"option '{name}' goes with a chat, not with raw text")
    for url in images(request):
        if not url.startswith("data:"):  # nothing here fetches what a stranger names
            raise bad_input("an image must be a data: URI")


def forced(request: Generate) -> bool:
    """Whether the answer must be a call."""
    return bool(request.tools) and request.tool_choice not in (None, "auto", "none")


def refused(name: str, engine: str) -> EngineError:
    return bad_input(f"option '{CLIENT_NAMES.get(name, name)}' is not served by the engine {engine}")


def no_lora(info: EngineInfo) -> EngineError:
    return EngineError(NO_LORA, NO_LORA.describe(model=info.model))


def no_json() -> EngineError:
    """A schema that cannot be turned into a grammar."""
    return EngineError(JSON_UNMET)


__all__ = ["CHAT_ONLY", "FEATURES", "check", "forced", "images", "no_json", "no_lora", "refused", "requested"]
