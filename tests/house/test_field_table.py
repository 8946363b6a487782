"""docs/workers-ai.md knows every field that the code knows, and says of the refused ones that they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bindings.ai.inputs import checks, responses
from bindings.ai.inputs import text as shapes

DOCS = Path(__file__).parents[2] / "docs" / "workers-ai.md"
ELSEWHERE = {"requests", "request_id"}  # of the batch queue


def rows(section: str) -> list[str]:
    """The lines of the tables under a heading."""
    text = DOCS.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")]


def row_of(name: str, section: str) -> str:
    found = [row for row in rows(section) if re.search(rf"`{name}\b", row.split("|")[1])]
    assert found, f"{name} is in no row of {section}"
    return found[0]


SERVED = {*checks.OPENAI_RANGES, *checks.FLAGS, *shapes.REQUIRED[shapes.CLASSIC], "stop", "logit_bias", "logprobs",
          "reasoning_effort", "chat_template_kwargs", "stream_options", "lora", "tools", "tool_choice",
          "response_format", "guided_json"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SERVED))
def test_what_is_served_has_a_row(name: str) -> None:
    assert "served" in row_of(name, "Text Generation")


@pytest.mark.parametrize("name", sorted(shapes.UNSERVED_CLASSIC.keys() - ELSEWHERE))
def test_what_is_refused_says_so(name: str) -> None:
    assert "refused 5006" in row_of(name, "Text Generation")


@pytest.mark.parametrize("name", sorted(responses.UNSERVED))
def test_what_the_responses_api_refuses_says_so(name: str) -> None:
    assert "5006" in row_of(name, "Responses")
