"""The look that is enough for most requests never passes what the long way complains of."""

from __future__ import annotations

from typing import Any

import pytest

from bindings.ai.inputs import checks

TABLES = [checks.RANGES, checks.NEWER_RANGES, checks.OPENAI_RANGES, checks.ANTHROPIC_RANGES]
USUAL: list[dict[str, Any]] = [
    {"prompt": "hi", "stream": True, "max_tokens": 5, "raw": False},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}], "temperature": 1},
    {"prompt": "hi", "top_p": 0.5, "top_k": 3, "seed": 7, "repetition_penalty": 1.1, "frequency_penalty": 0.5},
]
WRONG: list[dict[str, Any]] = [
    {"prompt": ""},
    {"prompt": 3},
    {"messages": []},
    {"messages": [{"role": "", "content": "hi"}]},
    {"messages": [{"role": "user"}]},
    *({"prompt": "hi", name: value} for name in checks.RANGES for value in ("5", True, float("nan"), [], 2.0**80)),
    {"prompt": "hi", "stream": "yes"},
    {"prompt": "hi", "raw": 1},
    {"prompt": "hi", "best_of": 1, "n": 2},
    {"prompt": "hi", "stop": [""]},
    {"prompt": "hi", "logit_bias": {"x": 1}},
]


@pytest.mark.parametrize("ranges", TABLES)
def test_what_is_usual_passes(ranges: dict[str, checks.Range]) -> None:
    for fields in USUAL:
        assert checks.are_usual(fields, ranges)
        assert list(checks.options(fields, ranges)) == []


@pytest.mark.parametrize("ranges", TABLES)
def test_what_may_be_wrong_does_not(ranges: dict[str, checks.Range]) -> None:
    beyond = [{"prompt": "hi", name: value} for name, (_, low, high) in ranges.items() for value in (low - 1, high + 1)]
    assert [fields for fields in (*WRONG, *beyond) if checks.are_usual(fields, ranges)] == []
