"""A worker of this folder, served where it can be written to; ``started("name")`` in a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.testing import Worker

HERE = Path(__file__).parent
Started = Callable[..., Worker]


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
