"""For pytest: the fixture ``worker``, a ``pilot dev`` of the folder that the tests belong to.

Which folder: the nearest one above the test file with a wrangler configuration, or that of ``pilot_folder`` in pytest's
own configuration. It is started once per folder, when a test first wants it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.testing import Worker

_NAMES = ("wrangler.toml", "wrangler.jsonc", "wrangler.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("pilot_folder", "the folder with the worker's wrangler.toml; default: the nearest above the test")
    parser.addini("pilot_arguments", "further arguments of pilot dev, such as --env", type="args")


class _Workers:
    """Those that serve, by folder."""

    def __init__(self, stack: ExitStack, arguments: tuple[str, ...]) -> None:
        self._stack, self._arguments, self._serving = stack, arguments, dict[Path, "Worker"]()

    def of(self, folder: Path) -> Worker:
        from runtime.testing import Worker  # nothing of it is needed by who has no worker

        if folder not in self._serving:
            self._serving[folder] = self._stack.enter_context(Worker(folder, self._arguments))
        return self._serving[folder]


@pytest.fixture(scope="session")
def _pilot_workers(pytestconfig: pytest.Config) -> Iterator[_Workers]:
    with ExitStack() as stack:
        yield _Workers(stack, tuple(pytestconfig.getini("pilot_arguments")))


@pytest.fixture
def worker(request: pytest.FixtureRequest, _pilot_workers: _Workers) -> Iterator[Worker]:
    """``worker.fetch("/path")`` asks the worker of this test's folder. What that said meanwhile is shown with a test
    that fails."""
    named = request.config.getini("pilot_folder")
    folder = request.config.rootpath / named if named else _nearest(request.path)
    if folder is None:
        pytest.fail(f"no {_NAMES[0]} above {request.path}: where is the worker?  pilot_folder = ... says so")
    found = _pilot_workers.of(folder)
    known = len(found.log)
    yield found
    print("\n".join(found.log[known:]))


def _nearest(path: Path) -> Path | None:
    return next((folder for folder in path.parents if any((folder / name).is_file() for name in _NAMES)), None)
