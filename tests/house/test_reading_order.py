"""README's way of a request and of a token is the code's: each file is reached from one that stands before it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text("utf-8").partition("Follow a request;")[2].partition("**To add")[0]
REQUEST, _, TOKEN = SECTION.partition("A token goes back:")
STEP = re.compile(r"(⇒)?\s*`((?:runtime|bindings)/[\w/]+\.py)`")  # (over a frame?, file)


def steps(text: str) -> list[tuple[bool, str]]:
    return [(bool(frame), file) for frame, file in STEP.findall(text)]


def module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def named(file: str) -> set[str]:
    """The modules that a file imports, or names in a string, as registries do."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.partition(":")[0])
    return found


WAY = steps(REQUEST)
BACK = steps(TOKEN)


def test_the_way_has_its_stations() -> None:
    assert len(WAY) >= 18
    assert len(BACK) >= 6


@pytest.mark.parametrize("number", range(1, len(WAY)), ids=[file for _, file in WAY[1:]])
def test_each_file_is_reached_from_one_before_it(number: int) -> None:
    frame, file = WAY[number]
    before = [earlier for _, earlier in WAY[:number]]
    if frame:  # both ends speak on the same wire
        assert all("runtime.wire" in named(end) for end in (before[-1], file))
    else:
        assert any(module(file) in named(earlier) for earlier in before)


def test_a_token_goes_back_the_way_it_was_asked_for() -> None:
    """Each file is a station of the request's, or is imported by one, and they come in the reverse order."""
    way = [file for _, file in WAY]
    places = [
        next(place for place, station in enumerate(way) if module(file) in named(station))
        if file not in way
        else len(way) - 1 - way[::-1].index(file)
        for _, file in BACK
    ]
    assert places == sorted(places, reverse=True)
