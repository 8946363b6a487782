"""An error of Python's own that a worker for Cloudflare meets here says what to do."""

from __future__ import annotations

import platform
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUES = {"list": "[]", "dict": "{}", "str": "''", "int": "1", "float": "1.5", "bool": "True", "bytes": "b''",
          "NoneType": "None"}  # fmt: skip
ENTRY = ROUTER + "\n".join(f"def {name}_():\n    return ({value}).to_py()\n" for name, value in VALUES.items())
ENTRY += """
from workers import DurableObject

class Kept(DurableObject): ...

def state():
    Kept(None, None).state.storage
"""
NEWER = {
    "f-string": "d = {'a': 1}\ntext = f'{d['a']}'\n",
    "alias": "type Ids = list[str]\n",
    "generic function": "def first[T](of: list[T]) -> T:\n    return of[0]\n",
    "generic class": "class Box[T]:\n    pass\n",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("remedies")
    write(folder, ENTRY, 'compatibility_date = "2026-11-01"\n')
    async with serving(folder) as served:
        yield served


@pytest.mark.parametrize("name", VALUES)
async def test_what_is_pythons_already_needs_no_to_py(pilot: Served, name: str) -> None:
    since = len(pilot.events)
    assert (await pilot.ask(f"/{name}_"))[0] == 500
    await pilot.says(
        f"It is Python's own {name} already, not a proxy of JavaScript's: leave .to_py() out.", since=since
    )


async def test_where_an_objects_state_is(pilot: Served) -> None:
    since = len(pilot.events)
    assert (await pilot.ask("/state"))[0] == 500
    await pilot.says("An object's state is self.ctx.", since=since)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads it")
@pytest.mark.parametrize("code", NEWER.values(), ids=NEWER)
async def test_what_a_newer_python_reads_says_which_runs_here(pilot: Served, code: str) -> None:
    since = len(pilot.events)
    assert not await pilot.save(code + ENTRY)
    said = await pilot.says(
        f"Python {platform.python_version()} runs this worker, and this may need 3.12.", since=since
    )
    assert "make dev PYTHON=python3.12" in str(said)
    assert await pilot.save(ENTRY)


async def test_a_module_that_is_not_there_says_where_it_is_looked_for(pilot: Served) -> None:
    folder = pilot.folder.name
    nested = f"def nested():\n    import importlib; importlib.import_module({folder!r} + '.a')\n"
    added = "def packed():\n    import micropip\n" + nested
    assert await pilot.save(ENTRY + added)
    for path, said in (("packed", "Nothing is installed while a worker runs"), ("nested", f"leave {folder}. out.")):
        since = len(pilot.events)
        assert (await pilot.ask(f"/{path}"))[0] == 500
        await pilot.says(said, since=since)
    assert await pilot.save(ENTRY)


async def test_another_mistake_has_no_such_remedy(pilot: Served) -> None:
    since = len(pilot.events)
    assert not await pilot.save("def broken(:\n" + ENTRY)
    assert "runs this worker" not in str(pilot.events[since:])
    assert await pilot.save(ENTRY)
