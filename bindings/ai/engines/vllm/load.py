"""How every use of vLLM here begins: options checked, defaults, the model loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bindings.ai.engine.options import MAX_LORA_RANK, unknown
from bindings.ai.engine.protocol import EngineInfo
from bindings.ai.engines.installed import VLLM
from bindings.ai.engines.vllm import compat, grammar, sleep
from bindings.ai.engines.vllm.interfaces import AsyncLLM
from bindings.ai.engines.vllm.parsers import OPTIONS, Parsers, chosen
from runtime.errors import UserError


def load(model: str, options: dict[str, Any], names: Mapping[str, compat.Name]) -> AsyncLLM:
    """Blocks until the model is in memory; in a thread, so that the supervisor hears of progress meanwhile.

    ``names``: what of vLLM's is used beside that which loads a model.
    """
    with _told(model):
        return start(arguments(model, options, names))


def load_text(model: str, options: dict[str, Any], template: str | None) -> tuple[AsyncLLM, Parsers]:
    """As ``load``, for text generation; and the names of the parsers that read this model's answers.

    The model must know from the start how its thoughts end: only then does the grammar of an answer begin.
    """
    with _told(model):
        named = {name: options[name] for name in OPTIONS if name in options}
        others = {name: options[name] for name in options.keys() - {*OPTIONS}}
        engine_args = arguments(model, others, compat.TEXT)
        if engine_args.enable_lora and "max_lora_rank" not in options:
            engine_args.max_lora_rank = MAX_LORA_RANK
        config = engine_args.create_model_config()
        tokenizer = compat.get("cached_tokenizer_from_config")(config)
        parsers = chosen(named, config.hf_config.model_type, template or template_of(tokenizer), tokenizer)
        engine_args.reasoning_parser = parsers.reasoning
        engine_args.structured_outputs_config = grammar.config(options.get("structured_outputs_config"))
        return start(engine_args), parsers


def describe(llm: AsyncLLM, model: str, features: frozenset[str] = frozenset()) -> EngineInfo:
    platform = _platform()
    device = "cpu" if platform.is_cpu() else f"{platform.device_type}: {platform.get_device_name()}"
    return EngineInfo(
        engine="vllm",
        model=model,
        version=compat.version(),
        device=device,
        context_window=llm.model_config.max_model_len,
        features=features,
    )


def template_of(tokenizer: object) -> str:
    """A tokenizer's chat template, all of them if there are several; else the special tokens that tell its family."""
    found = getattr(tokenizer, "chat_template", None)
    if isinstance(found, dict):
        return "\n".join(found.values())
    return found or " ".join(getattr(tokenizer, "all_special_tokens", []))


@contextmanager
def _told(model: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        remedy = "Its options are set in models.yaml. A gated repository needs:  hf auth login"
        if "failed to be inspected" in str(error):  # a library that this model's code needs; it is in the log alone
            remedy = "What its code could not import is in vLLM's log:  pilot dev --log-level debug"
        raise UserError(f"vLLM cannot load it: {error}", where=model, remedy=remedy) from error


def arguments(model: str, options: dict[str, Any], names: Mapping[str, compat.Name]) -> Any:
    """vLLM's AsyncEngineArgs. Raises UserError for a vLLM, ConfigError for an option that will not do."""
    _environment()
    try:
        compat.check(names)
        kind = compat.get("AsyncEngineArgs")
    except ImportError as error:
        raise UserError(
            f"vLLM is not installed here, or not whole: {error}", where="engine: vllm", remedy=VLLM
        ) from None
    options = sleep.settled(options)
    _check_names(options, {field.name for field in dataclasses.fields(kind)})
    quiet = not options.get("otlp_traces_endpoint")  # vLLM makes its traces of its statistics
    return kind(**{**_defaults(), "disable_log_stats": quiet, **options, "model": model})


def context() -> object:
    """Whose defaults count: those of ``vllm serve``. A library's user gets room for fewer requests at a time."""
    return compat.get("OPENAI_API_SERVER")


def start(arguments: object) -> AsyncLLM:
    llm: AsyncLLM = compat.get("AsyncLLM").from_engine_args(arguments, usage_context=context())
    return llm


def _environment() -> None:
    """Read by vLLM when it is imported; what the person has set stands."""
    ours = {"VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    if find_spec("flashinfer") is None:
        ours["VLLM_USE_FLASHINFER_SAMPLER"] = "0"  # vLLM would insist on it where the GPU could use it
    for name, value in ours.items():
        os.environ.setdefault(name, value)


def _defaults() -> dict[str, Any]:
    ours = {"max_model_len": -1}
    if not _platform().is_cpu():
        return ours
    memory = import_module("psutil").virtual_memory()
    share = round(min(0.2, 0.8 * memory.available / memory.total), 3)
    return {**ours, "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30, "gpu_memory_utilization": share}


def _check_names(options: dict[str, Any], known: set[str]) -> None:
    for name in sorted(options.keys() - known):
        raise unknown(name, sorted(known), "vllm: options", "The fields of vLLM's AsyncEngineArgs count.")


def _platform() -> Any:
    return compat.get("current_platform")


__all__ = ["arguments", "context", "describe", "load", "load_text", "start", "template_of"]
