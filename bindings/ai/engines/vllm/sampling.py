"""Workers AI's ranges are wider than vLLM's: what its sampler refuses, as near as it goes; and where a text ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from bindings.ai.engine.protocol import Generate
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import SamplingParams

MAX_TEMPERATURE = 2.0  # vLLM's limit; Workers AI goes to 5
SEED_COUNT = 2**63 - 2**8  # so many, and room for those of ``n`` answers, which count on from the first

Check = Callable[[str, int, list[str], bool], tuple[str, int] | None]
"""vLLM's ``check_stop_strings``: (the text, new characters in it, stop strings, whether they are shown) → (which
ends it, where to cut)."""


def within(request: Generate) -> Generate:
    """The request with what vLLM takes. Two seeds stay two: -1 means "none" there, and what is negative is another."""
    changed: dict[str, Any] = {}
    if request.temperature > MAX_TEMPERATURE:
        changed["temperature"] = MAX_TEMPERATURE
    if request.seed is not None and not 0 <= request.seed < SEED_COUNT:
        changed["seed"] = request.seed % SEED_COUNT
    if request.n > 1 and request.temperature == 0:  # vLLM wants them sampled: from the likeliest alone, then
        changed |= {"temperature": 1.0, "top_k": 1}
    return msgspec.structs.replace(request, **changed) if changed else request


def hold_back(params: SamplingParams) -> None:
    """An answer that is read when it has ended: its first token is told, and then all others at once. vLLM 0.26 tells
    of each."""
    if hasattr(params, "stream_interval"):
        params.stream_interval = sys.maxsize


def patch_stop_strings() -> None:
    """From here on a text ends before the stop string that begins first; vLLM takes the one that is complete first,
    or is named first."""
    detokenizer = sys.modules[compat.get("IncrementalDetokenizer").__module__]
    check: Check = compat.get("check_stop_strings")
    vars(detokenizer)["check_stop_strings"] = earliest_stop(check)


def earliest_stop(check: Check) -> Check:
    def checked(
        output_text: str, new_char_count: int, stop: list[str], include_in_output: bool
    ) -> tuple[str, int] | None:
        found = [
            (at[1], -len(word), word) for word in stop if (at := check(output_text, new_char_count, [word], False))
        ]
        return check(output_text, new_char_count, [min(found)[2]], include_in_output) if found else None

    return checked


__all__ = ["MAX_TEMPERATURE", "SEED_COUNT", "earliest_stop", "hold_back", "patch_stop_strings", "within"]
