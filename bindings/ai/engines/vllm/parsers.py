"""Which of vLLM's parsers read a model's answers: one for its tool calls, one for what it thinks aloud.

The options ``tool_call_parser`` and ``reasoning_parser`` say it; ``none`` for neither. Else the table below knows
the families, by the model's type and by what its chat template writes: fine-tunes keep the type, and change the
template. A family that this vLLM has no parser for is read like any other model: Hermes' ``<tool_call>`` with JSON
in it, which is also what ``tool_prompt`` teaches a model whose template knows no tools.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bindings.ai.engines.vllm import compat
from runtime.errors import ConfigError

OPTIONS = ("tool_call_parser", "reasoning_parser")
NONE = "none"
GENERIC = "hermes"


class Parsers(NamedTuple):
    """Names in vLLM's registries; ``reasoning`` is empty for a model that does not think aloud."""

    tools: str
    reasoning: str


class _Family(NamedTuple):
    """The first that fits: ``kind`` begins the model's type, ``mark`` stands in its chat template."""

    kind: str
    mark: str
    tools: str
    reasoning: str


FAMILIES = [
    _Family(*row)
    for row in (
        ("gpt_oss", "", "openai", "openai_gptoss"),
        ("gemma4", "", "gemma4", "gemma4"),
        ("glm4_moe", "", "glm45", "glm45"),
        ("glm", "<think>", "glm47", "glm47"),
        ("kimi_k3", "", "kimi_k3", "kimi_k3"),
        ("kimi", "", "kimi_k2", "kimi_k2"),
        ("deepseek_v41", "", "deepseek_v41", "deepseek_v41"),
        ("deepseek_v4", "", "deepseek_v4", "deepseek_v4"),
        ("deepseek_v32", "", "deepseek_v32", "deepseek_v3"),
        ("deepseek_v3", "```json", "deepseek_v3", "deepseek_r1"),
        ("deepseek_v3", "", "deepseek_v31", "deepseek_v3"),
        ("minimax_m3", "", "minimax_m3", "minimax_m3"),
        ("minimax", "", "minimax_m2", "minimax_m2"),
        ("seed_oss", "", "seed_oss", "seed_oss"),
        ("nemotron", "<think>", "qwen3_coder", "nemotron_v3"),
        ("granite", "<|tool_call|>", "granite", ""),
        ("hunyuan", "<think>", "hunyuan_a13b", "hunyuan_a13b"),
        ("ernie4_5", "<think>", "ernie45", "ernie45"),
        ("llama4", "", "llama4_pythonic", ""),
        ("llama", "<think>", GENERIC, "deepseek_r1"),
        ("", "<|python_tag|>", "llama3_json", ""),
        ("", "ipython", "llama3_json", ""),
        ("", "[THINK]", "mistral", "mistral"),
        ("", "[TOOL_CALLS]", "mistral", ""),
        ("phi", "<|tool_call|>", "phi4_mini_json", ""),
        ("qwen3_5", "", "qwen3_coder", "qwen3"),
        ("qwen3", "<function=", "qwen3_coder", ""),
        ("qwen3", "<think>", GENERIC, "qwen3"),
        ("qwen2", "<think>", GENERIC, "deepseek_r1"),
    )
]


def chosen(named: dict[str, str], kind: str, template: str, tokenizer: object) -> Parsers:
    """``named``: what the person says, under ``OPTIONS``. Raises ConfigError for a parser that cannot be had."""
    tools, thoughts = family(kind, template)
    generic = "" if named.get("tool_call_parser") == NONE else GENERIC
    return Parsers(
        _one(named, "tool_call_parser", tools, tokenizer) or generic,
        _one(named, "reasoning_parser", thoughts, tokenizer),
    )


def family(kind: str, template: str) -> Parsers:
    """What the table says of a model of this type, with this chat template."""
    found = next((f for f in FAMILIES if kind.startswith(f.kind) and f.mark in template), None)
    return Parsers(found.tools, found.reasoning) if found else Parsers(GENERIC, "")


def _one(named: dict[str, str], option: str, usual: str, tokenizer: object) -> str:
    """Empty where there is none, or where the family's is not for this vLLM or this tokenizer."""
    name = named.get(option)
    if name == NONE:
        return ""
    known = _registered(option)
    if name is None:
        return usual if usual in known and not _misfit(option, usual, tokenizer) else ""
    if name not in known:
        raise ConfigError(
            f"vLLM has no parser {name!r}",
            where=f"vllm: {option}",
            remedy=f"It has: {', '.join(sorted(known))}; or {NONE}",
        )
    if why := _misfit(option, name, tokenizer):
        raise ConfigError(
            f"{name} is not for this model: {why}", where=f"vllm: {option}", remedy=f"Leave it out, or write {NONE}."
        )
    return name


def _misfit(option: str, name: str, tokenizer: object) -> str:
    """Why the parser cannot be used: mostly a special token that the model has not got."""
    try:
        if option == "tool_call_parser":
            _tools().get_tool_parser(name)(tokenizer)
        else:
            _reasoning().get_reasoning_parser(name)(tokenizer)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _registered(option: str) -> list[str]:
    manager = _tools() if option == "tool_call_parser" else _reasoning()
    return [str(name) for name in manager.list_registered()]


def _tools() -> Any:
    return compat.get("ToolParserManager")


def _reasoning() -> Any:
    return compat.get("ReasoningParserManager")


__all__ = ["GENERIC", "OPTIONS", "Parsers", "chosen", "family"]
