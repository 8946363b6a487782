"""Every test says whether it keeps to its own process, by one rule, which sees through fixtures and helpers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import markers

TESTS = Path(__file__).parents[1]


def test_each_test_is_of_one_kind(request: pytest.FixtureRequest) -> None:
    """Whatever this run has collected."""
    for item in request.session.items:
        kinds = {mark.name for mark in item.iter_markers()} & {"unit", "e2e"}
        assert len(kinds) == 1, f"{item.nodeid}: {kinds}"


@pytest.mark.parametrize(
    ("file", "name", "starts"),
    [
        ("web/test_url.py", "test_parts", False),
        ("house/test_readme.py", "test_pilot_dev_and_curl_do_as_shown", True),
        ("ai/answers/test_answers.py", "pilot", True),  # a fixture, by way of tests/support
        ("host/test_deploy.py", "host", True),
    ],
)
def test_a_process_is_found_behind_fixtures_and_helpers(file: str, name: str, starts: bool) -> None:
    assert bool(markers.words_reached(TESTS / file, [name]) & markers.STARTS) == starts


def test_a_unit_test_starts_no_process() -> None:
    with pytest.raises(AssertionError, match="mark it e2e"):
        os.system("true")
