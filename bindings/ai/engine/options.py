"""The options of every engine, as far as they are known without its library: types and ranges, checked when
``models.yaml`` is read. What is known of no option is for the engine to judge, when it loads the model.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bindings.ai.engine.protocol import EngineSpec
from runtime.errors import ConfigError
from runtime.hints import close_to, closest

MAX_INT32 = 2**31 - 1
MAX_LORA_RANK = 32  # of an adapter: the most that Workers AI takes


class OptionType(NamedTuple):
    """What a value must be: of one of ``types``, and ``low`` to ``high`` if it is a number."""

    types: tuple[type, ...]
    words: str
    low: float = -math.inf
    high: float = math.inf

    def refuses(self, value: object) -> str:
        """Why ``value`` will not do, or nothing."""
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            return f"must be {self.words}, not {value!r}"
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            limit = f"at least {self.low:.15g}" if value < self.low else f"at most {self.high:.15g}"
            return f"must be {limit}, not {value!r}"
        return ""


INTEGER, POSITIVE_INTEGER = (OptionType((int,), "a whole number", low, MAX_INT32) for low in (-MAX_INT32 - 1, 1))
WIDE_INTEGER = OptionType((int,), "a whole number", -(2**63), 2**63 - 1)  # Python's own: bytes of a GPU's memory
NUMBER, POSITIVE_NUMBER = (OptionType((int, float), "a number", low) for low in (-math.inf, 1e-9))
FRACTION = OptionType((int, float), "a number", 0, 1)
BOOLEAN, STRING = OptionType((bool,), "true or false"), OptionType((str,), "a string")
TABLE = OptionType((dict,), "a table")
POOLING = {"pooling": STRING}

Known = Mapping[str, OptionType]
ECHO: Known = {
    "rate": OptionType((int, float), "a number", 0), "tokens": POSITIVE_INTEGER, "context_window": POSITIVE_INTEGER,
    "tool_call": TABLE, "reasoning": STRING, "images": BOOLEAN, "sleeps": BOOLEAN,
}  # fmt: skip
OPENAI: Known = {
    "base_url": STRING, "api_key": STRING, "timeout_s": POSITIVE_NUMBER, "extra_body": TABLE, **POOLING,
}  # fmt: skip
LLAMACPP: Known = {  # of xllamacpp's CommonParams, what concerns a server that only we talk to
    **dict.fromkeys(("n_ctx", "n_parallel", "n_batch", "n_ubatch"), POSITIVE_INTEGER),
    **dict.fromkeys((
        "n_threads", "n_threads_batch", "n_gpu_layers", "main_gpu", "n_keep", "n_predict", "n_cache_reuse",
        "n_ctx_checkpoints", "cache_ram_mib", "grp_attn_n", "grp_attn_w", "verbosity", "yarn_orig_ctx",
    ), INTEGER),
    **dict.fromkeys((
        "rope_freq_base", "rope_freq_scale", "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow",
        "yarn_ext_factor", "slot_prompt_similarity",
    ), NUMBER),
    **dict.fromkeys((
        "cache_prompt", "cache_idle_slots", "check_tensors", "cont_batching", "ctx_shift", "kv_unified",
        "no_extra_bufts", "no_host", "no_kv_offload", "no_op_offload", "swa_full", "use_jinja", "warmup",
    ), BOOLEAN),
    "chat_template": STRING, "tensor_split": OptionType((list,), "a list"), **POOLING,
}  # fmt: skip
VLLM: Known = {  # of vLLM's AsyncEngineArgs; the others are read in its source, where that is installed
    **dict.fromkeys((
        "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_num_seqs",
        "max_num_batched_tokens", "max_loras", "max_lora_rank", "block_size",
    ), POSITIVE_INTEGER),
    "max_model_len": OptionType((int,), "a whole number", -1, MAX_INT32),
    "gpu_memory_utilization": FRACTION, "seed": INTEGER,
    **dict.fromkeys(("enforce_eager", "trust_remote_code", "enable_prefix_caching", "enable_lora"), BOOLEAN),
    **dict.fromkeys(("dtype", "quantization", "tokenizer", "revision", "kv_cache_dtype", "load_format"), STRING),
    **dict.fromkeys(("chat_template", "tool_call_parser", "reasoning_parser"), STRING), **POOLING,
}  # fmt: skip
KNOWN = {"echo": ECHO, "openai": OPENAI, "llamacpp": LLAMACPP, "vllm": VLLM}
FULLY_KNOWN = ("echo", "openai")
_ANNOTATED = {"int": WIDE_INTEGER, "float": NUMBER, "bool": BOOLEAN, "str": STRING}


def check(engine: str, options: Mapping[str, Any], where: str) -> None:
    """Raises ConfigError: an option that the engine has not, or whose value is none for it."""
    known: Mapping[str, OptionType | None] = KNOWN.get(engine, {})
    if engine == "vllm" and options.keys() - known.keys():
        known = {**_vllm_fields(), **known}
    for name, value in options.items():
        if name not in known:
            _unknown(engine, name, known, where)
        elif (kind := known[name]) is not None and (why := kind.refuses(value)):
            raise ConfigError(why, where=f"{where}: {name}", remedy="Or leave it out, for the engine's default.")


def unknown(name: str, known: Mapping[str, Any] | list[str], where: str, otherwise: str = "") -> ConfigError:
    """An option that an engine has not; ``otherwise``: what to say where nothing is close to it."""
    close = closest(name.replace("-", "_"), known, 3)
    remedy = f"Did you mean {' or '.join(close)}?" if close else otherwise
    return ConfigError(f"unknown option {name!r}", where=where, remedy=remedy)


def _unknown(engine: str, name: str, known: Mapping[str, Any], where: str) -> None:
    """Where not all options are known, one that resembles none of them may yet exist."""
    whole = engine in FULLY_KNOWN or (engine == "vllm" and _vllm_fields())
    if whole or close_to(name.replace("-", "_"), known):
        raise unknown(name, known, where, f"The options are: {', '.join(known)}" if engine in FULLY_KNOWN else "")


@functools.cache
def _vllm_fields() -> dict[str, OptionType | None]:
    """The fields of ``AsyncEngineArgs``, read in vLLM's source (30 ms) rather than imported (5 s)."""
    found = find_spec("vllm")
    if found is None or found.origin is None:
        return {}
    try:
        tree = ast.parse(Path(found.origin).with_name("engine").joinpath("arg_utils.py").read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("EngineArgs")]
    return dict(field for node in classes for field in _fields(node))


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, OptionType | None]]:
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield line.target.id, _ANNOTATED.get(ast.unparse(line.annotation).removesuffix(" | None"))


SLEEP, WHERE_IT_CAN = "enable_sleep_mode", "where it can"  # vLLM's option; asked for without knowing this vLLM
METRICS_OPTIONS: dict[str, dict[str, Any]] = {"vllm": {"disable_log_stats": False}}


def with_metrics(spec: EngineSpec) -> EngineSpec:
    """So that it keeps its own; what the person has set stands."""
    return msgspec.structs.replace(spec, options={**METRICS_OPTIONS.get(spec.engine, {}), **spec.options})


__all__ = ["KNOWN", "METRICS_OPTIONS", "SLEEP", "WHERE_IT_CAN", "check", "unknown", "with_metrics"]
