"""A worker of this folder, served where it can be written to; ``started("name")`` in a test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.testing import Worker

HERE = Path(__file__).parent
Started = Callable[..., Worker]
Until = Callable[[Callable[[], object], object], None]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """``arguments`` are those of ``pilot dev``; ``secrets`` what ``.dev.vars`` has."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str, secrets: str = "") -> Worker:
            folder = shutil.copytree(HERE / name, tmp_path / name)
            if secrets:
                (folder / ".dev.vars").write_text(secrets)
            return stack.enter_context(Worker(folder, arguments))

        yield start


@pytest.fixture
def until() -> Until:
    """Ask again until the answer is the one that is wanted, for 20 seconds."""

    def ask(asked: Callable[[], object], wanted: object) -> None:
        end = time.monotonic() + 20.0
        while (found := asked()) != wanted:
            assert time.monotonic() < end, found
            time.sleep(0.05)

    return ask
