"""Each tutorial, followed from its first block to its last, answers what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tutorials import FOLDER, Step, at_home, steps

PAGES = sorted(path.name for path in FOLDER.glob("*.md"))


@pytest.mark.e2e
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_whoever_follows_it_sees_what_it_shows(page: str, tmp_path: Path) -> None:
    if page == "deploy.md" and os.uname().sysname != "Linux":
        pytest.skip("a host is Linux's")
    with at_home(tmp_path) as tutorial:
        for step in steps(page):
            tutorial.follow(step)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("command", "title", "shown", "is_so"),
    [
        ("echo done in 3 ms", "", "done in 12 ms", True),
        ("echo done", "", "gone", False),
        ("seq 9", "", "1\n...\n9", True),
        ("seq 9", "", "1\n...\n8", False),
        ('echo \'{"response": "yes"}\'', "for example", '{"response": "no"}', True),
        ('echo \'{"error": "yes"}\'', "for example", '{"response": "no"}', False),
        ("true", "for example", "something", False),
    ],
)
def test_what_a_page_shows_is_compared(command: str, title: str, shown: str, is_so: bool, tmp_path: Path) -> None:
    with at_home(tmp_path) as tutorial:
        tutorial.follow(Step("typed", "", command))
        if is_so:
            tutorial.follow(Step("shown", title, shown))
        else:
            with pytest.raises(AssertionError):
                tutorial.follow(Step("shown", title, shown))
