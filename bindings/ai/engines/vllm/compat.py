"""The one place that knows how vLLM's versions differ: each name of vLLM's that is used here, and the ways to it.

What is here from 0.26 to 0.33 has one way; what has moved has several, and the first that this vLLM has is taken: by
looking, never by the version's number. A vLLM that lacks a name is refused when a model is opened, in words.
``tests/support/models/vllm_shapes.json`` holds the shapes of every version that is served, and
``tests/ai/engines/test_vllm_versions.py`` holds this table against them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from bindings.ai.engines.installed import VLLM
from runtime.errors import UserError

SERVED = "0.26 to 0.33"


class Name(NamedTuple):
    """``ways``: "module:attribute", the first that exists. ``takes``: method ("" for itself) → parameters that are
    said by name. ``made``: attributes of its instances that are read."""

    ways: tuple[str, ...]
    takes: Mapping[str, tuple[str, ...]] = {}
    made: tuple[str, ...] = ()


_V1 = "vllm.v1.engine"
_CHAT = "vllm.entrypoints.openai.chat_completion.protocol:ChatCompletionRequest"
_SAMPLED = (
    "n", "temperature", "top_p", "top_k", "seed", "stop", "ignore_eos", "max_tokens", "logprobs", "logit_bias",
    "repetition_penalty", "frequency_penalty", "presence_penalty", "structured_outputs", "output_kind",
    "allowed_token_ids", "skip_special_tokens", "skip_clone",
)  # fmt: skip
TEXT: dict[str, Name] = {
    "AsyncEngineArgs": Name(("vllm.engine.arg_utils:AsyncEngineArgs",), {"create_model_config": ()}),
    "AsyncLLM": Name(
        (f"{_V1}.async_llm:AsyncLLM",),
        {
            "from_engine_args": ("usage_context",),
            "shutdown": (),
            "add_lora": (),
            "add_request": (),
            "generate": ("lora_request", "trace_headers", "reasoning_ended", "reasoning_parser_kwargs"),
        },
        ("renderer", "model_config", "vllm_config", "output_handler", "output_processor", "engine_core", "log_stats"),
    ),
    "OPENAI_API_SERVER": Name(("vllm.usage.usage_lib:UsageContext.OPENAI_API_SERVER",)),
    "EngineDeadError": Name((f"{_V1}.exceptions:EngineDeadError",)),
    "Refused": Name(("vllm.exceptions:VLLMClientError", "vllm.exceptions:VLLMValidationError")),
    "current_platform": Name(("vllm.platforms:current_platform",)),
    "cached_tokenizer_from_config": Name(("vllm.tokenizers:cached_tokenizer_from_config",)),
    "ToolParserManager": Name(("vllm.tool_parsers:ToolParserManager",), {"list_registered": (), "get_tool_parser": ()}),
    "ReasoningParserManager": Name(
        ("vllm.reasoning:ReasoningParserManager",), {"list_registered": (), "get_reasoning_parser": ()}
    ),
    "OnlineRenderer": Name(
        ("vllm.renderers.online_renderer:OnlineRenderer",),
        {
            "render_chat": (),
            "__init__": (
                "request_logger",
                "chat_template",
                "chat_template_content_format",
                "enable_auto_tools",
                "exclude_tools_when_tool_choice_none",
                "tool_parser",
                "reasoning_parser",
            ),
        },
        ("use_harmony", "parser", "renderer"),
    ),
    "BaseRenderer": Name(
        ("vllm.renderers.base:BaseRenderer",),
        dict.fromkeys(
            ("render_chat", "render_chat_async", "render_cmpl", "render_cmpl_async", "default_cmpl_tok_params"), ()
        ),
    ),
    "ChatParams": Name(("vllm.renderers.params:ChatParams",), {"": ("chat_template", "chat_template_kwargs")}),
    "TokenizeParams": Name(("vllm.renderers.params:TokenizeParams",), {"": ("max_total_tokens", "add_special_tokens")}),
    "ChatCompletionRequest": Name(
        (_CHAT,),
        {
            "": (
                "messages",
                "stream",
                "structured_outputs",
                "tools",
                "tool_choice",
                "parallel_tool_calls",
                "logprobs",
                "top_logprobs",
                "logit_bias",
                "chat_template_kwargs",
                "reasoning_effort",
                "repetition_penalty",
            ),
            "build_tok_params": (),
            "build_chat_params": (),
            "to_sampling_params": (),
        },
    ),
    "Parser": Name(
        ("vllm.parser.abstract_parser:Parser",),
        {
            "is_reasoning_end": (),
            "reasoning_parser": (),
            "parse": ("enable_auto_tools", "model_output_token_ids"),
            "parse_delta": ("delta_text", "delta_token_ids", "request", "prompt_token_ids", "finished"),
        },
    ),
    "SamplingParams": Name(
        ("vllm.sampling_params:SamplingParams",), {"": _SAMPLED, "_validate_structured_outputs": ()}
    ),
    "StructuredOutputsParams": Name(
        ("vllm.sampling_params:StructuredOutputsParams",), {"": ("json", "structural_tag")}
    ),
    "StructuredOutputsConfig": Name(
        ("vllm.config:StructuredOutputsConfig",), {"": ("backend", "disable_any_whitespace")}
    ),
    "DELTA": Name(("vllm.sampling_params:RequestOutputKind.DELTA",)),
    "IncrementalDetokenizer": Name((f"{_V1}.detokenizer:IncrementalDetokenizer",), {"from_new_request": ()}),
    "check_stop_strings": Name(
        (f"{_V1}.detokenizer:check_stop_strings",), {"": ("output_text", "new_char_count", "stop", "include_in_output")}
    ),
    "RequestOutput": Name(("vllm.outputs:RequestOutput",), {}, ("outputs", "prompt_token_ids", "num_cached_tokens")),
    "CompletionOutput": Name(
        ("vllm.outputs:CompletionOutput",), {"": ("index", "text", "token_ids", "logprobs", "finish_reason")}
    ),
    "DeltaMessage": Name(
        (
            "vllm.entrypoints.generate.base.protocol:DeltaMessage",
            "vllm.entrypoints.openai.engine.protocol:DeltaMessage",
        ),
        {"": ("content", "reasoning", "tool_calls")},
    ),
    "ErrorResponse": Name(
        (
            "vllm.entrypoints.serve.engine.protocol:ErrorResponse",
            "vllm.entrypoints.openai.engine.protocol:ErrorResponse",
        ),
        {"": ("error",)},
    ),
    "VllmConfig": Name(
        ("vllm.config:VllmConfig",),
        {"": ("model_config", "scheduler_config", "lora_config", "structured_outputs_config")},
    ),
    "ModelConfig": Name(
        ("vllm.config:ModelConfig",), {"get_vocab_size": (), "": ("max_model_len",)}, ("hf_config", "multimodal_config")
    ),
    "LoRARequest": Name(("vllm.lora.request:LoRARequest",)),
    "reasoning_ended": Name(
        (f"{_CHAT}.resolve_reasoning_ended", f"{_CHAT}._grammar_from_parser", f"{_CHAT}._grammar_from_tool_parser")
    ),
}
STEPS: dict[str, Name] = {  # ``streams.steps`` does without itself where one of these is gone
    "OutputProcessor": Name(
        (f"{_V1}.output_processor:OutputProcessor",),
        {"process_outputs": (), "add_request": (), "propagate_error": ()},
        ("tokenizer",),
    ),
    "EngineCoreOutput": Name((f"{_V1}:EngineCoreOutput",), {"": ("request_id", "new_token_ids", "finish_reason")}),
    "EngineCoreRequest": Name(
        (f"{_V1}:EngineCoreRequest",), {"": ("request_id", "external_req_id", "prompt_token_ids")}
    ),
    "EngineCoreOutputs": Name((f"{_V1}:EngineCoreOutputs",), {"": ("outputs", "utility_output")}),
    "EngineCoreClient": Name((f"{_V1}.core_client:EngineCoreClient",), {"abort_requests_async": ()}),
    "AsyncMPClient": Name(
        (f"{_V1}.core_client:AsyncMPClient",), {"get_output_async": ()}, ("resources", "decoder", "outputs_queue")
    ),
    "BackgroundResources": Name(
        (f"{_V1}.core_client:BackgroundResources",), {}, ("output_socket", "output_queue_task")
    ),
    "FastIncrementalDetokenizer": Name((f"{_V1}.detokenizer:FastIncrementalDetokenizer",), {"decode_next": ()}),
}
_BASE = {
    name: TEXT[name]
    for name in ("AsyncEngineArgs", "AsyncLLM", "OPENAI_API_SERVER", "EngineDeadError", "Refused", "current_platform")
}
POOLING: dict[str, Name] = {
    **_BASE,
    "AsyncPooling": Name(
        (f"{_V1}.async_llm:AsyncLLM",), {"encode": (), "get_tokenizer": (), "get_supported_tasks": ()}
    ),
    "PoolingParams": Name(("vllm.pooling_params:PoolingParams",), {"": ("task", "use_activation", "extra_kwargs")}),
    "PoolingRequestOutput": Name(("vllm.outputs:PoolingRequestOutput",), {}, ("outputs",)),
    "PoolingOutput": Name(("vllm.outputs:PoolingOutput",), {"": ("data",)}),
    "PoolerConfig": Name(("vllm.config:PoolerConfig",), {"": ("seq_pooling_type",)}),
}
SPEECH: dict[str, Name] = {
    **_BASE,
    "SamplingParams": TEXT["SamplingParams"],
    "split_audio": Name(("vllm.multimodal.audio:split_audio",)),
    "languages": Name(("vllm.model_executor.models.whisper:ISO639_1_SUPPORTED_LANGS",)),
}
NAMES = {**TEXT, **STEPS, **POOLING, **SPEECH}  # what can be done without is asked for by ``find``


@cache
def get(name: str) -> Any:
    """What ``NAMES`` calls so. Raises UserError: vLLM is not installed, is broken, or is not one that is served."""
    for way in NAMES[name].ways:
        if (found := find(way)) is not None:
            return found
    raise _unsupported(f"it has no {' or '.join(NAMES[name].ways)}")


def find(way: str) -> Any:
    """What is at "module:attribute"; None where this vLLM has no such thing."""
    module, _, path = way.partition(":")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise
    for part in path.split("."):
        found = _member(found, part)
    return found


def check(names: Mapping[str, Name]) -> None:
    """Raises UserError unless this vLLM has all of ``names``, and each takes what it is given by name."""
    for name, expected in names.items():
        found = get(name)
        for method, parameters in expected.takes.items():
            member = _member(found, method) if method else found
            if member is None:
                raise _unsupported(f"its {name} has no {method}")
            if missing := [each for each in parameters if not takes(member, each)]:
                raise _unsupported(f"its {name}{method and '.'}{method} takes no {', '.join(missing)}")


def has_attributes(instance: object, name: str) -> bool:
    """Whether it has the attributes that are read of one."""
    return all(hasattr(instance, attribute) for attribute in NAMES[name].made)


def has(names: Mapping[str, Name]) -> bool:
    """Whether ``check`` has nothing to say."""
    try:
        check(names)
    except UserError:
        return False
    return True


def takes(target: Callable[..., Any], parameter: str) -> bool:
    """Whether it may be given ``parameter`` by name."""
    fields = getattr(target, "model_fields", None)  # pydantic's classes take names that no signature shows
    return parameter in (fields if fields is not None else inspect.signature(target).parameters)


def version() -> str:
    return str(getattr(import_module("vllm"), "__version__", "?"))


def reasoning_ended(request: Any, parser: Any, prompt: list[int]) -> bool | None:
    """Whether a grammar begins with the first token. ``request``, ``parser``: vLLM's, after the prompt was rendered."""
    if (resolve := getattr(request, "resolve_reasoning_ended", None)) is not None:
        ended: bool | None = resolve(parser, prompt)
        return ended
    own = any(getattr(request, name, False) for name in ("_grammar_from_parser", "_grammar_from_tool_parser"))
    return own or bool(parser.is_reasoning_end(prompt))


def _member(owner: object, name: str) -> Any:
    """An attribute; True for a field or a private attribute that pydantic keeps apart from the class."""
    kept = getattr(owner, "__private_attributes__", {})
    return True if name in kept else getattr(owner, name, None)


def _unsupported(why: str) -> UserError:
    return UserError(
        f"vLLM {version()} is not one that is served here: {why}",
        where="engine: vllm",
        remedy=f"vLLM {SERVED} is.\n{VLLM}",
    )


__all__ = ["NAMES", "POOLING", "SERVED", "SPEECH", "STEPS", "TEXT", "Name", "check", "find", "get",
           "has_attributes", "reasoning_ended", "takes", "version"]  # fmt: skip
