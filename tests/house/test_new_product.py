"""A product that the tree has never heard of: one file, its lines in the registry, and everything knows it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from serving import Served, serving, write
from wrangler_support import QUIET, wrangler

ROOT = Path(__file__).parents[2]
LINE = '    "counters": "bindings.counters:Counters",\n'
OPTION = '"counters": "bindings.counters:OPTIONS", '
ENTRY = """
from workers import Response

async def fetch(request, env, ctx):
    return Response(f"{VERSION} {await env.HITS.add()}")
"""
COUNTING = (
    ENTRY
    + """
async def count(event, env):
    while (total := await env.HITS.add()) < UNTIL:
        pass
    event.keep(f"{VERSION}: {total} of {event.counts}")
"""
)
UNTIL_ANOTHER_COUNTS = """
async def on_count(event, env):
    last = await env.HITS.add()
    while (total := await env.HITS.add()) == last + 1:
        last = total
    event.keep("in v1")

async def fetch(request): ...
"""
CLASS = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    def count(self, event):
        event.keep(type(self.env.HITS).__name__)
        if "lose" in globals():
            raise ValueError("lost count")

    async def fetch(self, request):
        return Response("a class")
"""
CONFIG = """
[[counters]]
binding = "HITS"
start = 5
[[env.prod.counters]]
binding = "HITS"
start = 70
[env.prod.pilot]
counter_step = 10
"""
WRANGLER = """
compatibility_date = "2025-09-01"
compatibility_flags = ["python_workers"]
[[unsafe.bindings]]
name = "HITS"
type = "counter"
start = 300
"""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@dataclass(frozen=True)
class Tree:
    """A copy of this project with the product in it, and a Python that finds the copy."""

    python: str

    def pilot(self, folder: Path, *words: str) -> tuple[int, str]:
        """(exit code, what it says) of `pilot WORDS`."""
        done = subprocess.run(
            [self.python, "-P", "-m", "runtime.cli", *words],
            cwd=folder,
            text=True,
            timeout=120,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    copy = tmp_path_factory.mktemp("tree")
    for package in ("runtime", "bindings"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/house/counters_product.py", copy / "bindings/counters.py")
    shutil.copy(ROOT / "tests/house/counters/worker.py", copy / "bindings/counters_worker.py")
    (copy / "bindings/counters_view.js").write_text(
        "export default (root, binding) => root.append(binding.facts.step);"
    )
    registry = copy / "bindings/__init__.py"
    before, brace, after = registry.read_text().partition("\n}\n")
    after = after.replace("OPTIONS: dict[str, str] = {", f"OPTIONS: dict[str, str] = {{{OPTION}")
    registry.write_text(f"{before}\n{LINE}{brace[1:]}{after}")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", copy / "venv"], check=True)
    python = copy / "venv/bin/python"
    own = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    (own / "tree.pth").write_text(f"{copy}\n{sysconfig.get_path('purelib')}\n")
    return Tree(str(python))


def folder(path: Path, version: str = "v1", config: str = CONFIG) -> Path:
    return worker(path, ENTRY.replace("{VERSION}", version), config, "app")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data", python=tree.python) as running:
        yield running


async def test_it_is_served_and_outlives_a_reload(tree: Tree, tmp_path: Path) -> None:
    write(tmp_path, ENTRY.replace("{VERSION}", "v1"), CONFIG)
    async with serving(tmp_path, python=tree.python) as pilot:
        assert await pilot.ask() == (200, "v1 6")
        assert await pilot.save(ENTRY.replace("{VERSION}", "v2")), pilot.log()
        assert await pilot.ask() == (200, "v2 7")
        assert json.loads((await pilot.ask("/__counters"))[1]) == {"HITS": 7}
        banner = await pilot.event("banner")
        assert {"name": "HITS", "what": "counter", "where": "in steps of 1"} in banner["bindings"]
        assert not warnings(pilot)
        state = json.loads((await pilot.ask("/__pilot/state", headers={"authorization": "Bearer any"}))[1])
        [hits] = [one for one in state["workers"][0]["bindings"] if one["name"] == "HITS"]
        assert (hits["view"], hits["facts"]) == ("counters", {"step": 1})
        assert "root.append" in (await pilot.ask("/__pilot/views/counters.js"))[1]


def warnings(pilot: Served) -> list[dict[str, object]]:
    return [line for line in pilot.events if line["level"] == "warning"]


async def test_an_environment_has_its_own(tree: Tree, tmp_path: Path) -> None:
    write(tmp_path, ENTRY.replace("{VERSION}", "v1"), CONFIG)
    async with serving(tmp_path, "--env", "prod", python=tree.python) as pilot:
        assert await pilot.ask() == (200, "v1 80")
        assert not warnings(pilot)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ('[vars]\nHITS = "x"\n[[counters]]\nbinding = "HITS"', "'HITS' is both a variable and a Counters binding"),
        ('[[counters]]\nbindin = "HITS"', "[[counters]] #1: has no 'binding'"),
        ('[[counters]]\nbinding = "HITS"\nstart = "5"', "must be a whole number, not a string"),
        ("[pilot]\ncounter_steps = 1", "has no setting 'counter_steps' (did you mean 'counter_step'?)"),
    ],
)
async def test_mistakes_are_told(tree: Tree, tmp_path: Path, config: str, error: str) -> None:
    code, output = tree.pilot(folder(tmp_path / "app", config=config), "dev", "--port", "0")
    assert code == 3
    assert error in output


async def test_a_key_that_its_table_has_not_is_warned_of(tree: Tree, tmp_path: Path) -> None:
    code, output = tree.pilot(
        folder(tmp_path / "app", config=CONFIG.replace("start = 5", "stat = 5")), "deploy", "--dry-run"
    )
    assert "unknown key 'stat' is ignored (did you mean 'start'?)" in " ".join(output.split())
    assert code == 0


async def test_it_brings_a_command(tree: Tree, tmp_path: Path) -> None:
    assert tree.pilot(tmp_path, "counters") == (0, "A counter counts.\n")
    assert "What a counter is." in tree.pilot(tmp_path, "--help")[1]


async def test_it_brings_an_option(tree: Tree, tmp_path: Path) -> None:
    assert "--counter-step INTEGER" in tree.pilot(tmp_path, "dev", "--help")[1]
    assert "No such option" in tree.pilot(tmp_path, "host", "--counter-step", "3")[1]
    write(tmp_path, ENTRY.replace("{VERSION}", "v1"), CONFIG)
    async with serving(tmp_path, "--counter-step", "3", python=tree.python) as pilot:
        assert await pilot.ask() == (200, "v1 8")


def counting(version: str, until: object) -> str:
    return COUNTING.replace("{VERSION}", version).replace("UNTIL", str(until))


async def test_its_events_reach_the_worker(tree: Tree, tmp_path: Path) -> None:
    write(tmp_path, counting("v1", 7), CONFIG)
    async with serving(tmp_path, python=tree.python) as pilot:
        assert await pilot.ask("/__counters/test", "POST") == (200, "[\"v1: 7 of {'HITS': 5}\"]")
        status, text = await pilot.ask("/__counters/other", "POST")
        assert (status, text.splitlines()[0]) == (500, "other: there is no such worker here, but test")
        assert await pilot.save(ENTRY.replace("{VERSION}", "v2"))
        status, text = await pilot.ask("/__counters/test", "POST")
        assert (status, text.partition("\n")[0]) == (500, "entry.py: this script has no count handler")
        assert await pilot.save(CLASS)
        assert await pilot.ask("/__counters/test", "POST") == (200, '["Counter"]')
        assert await pilot.save(CLASS + "lose = True")
        assert await pilot.ask("/__counters/test", "POST") == (500, "entry.py, line 8: ValueError: lost count")


async def test_an_event_ends_in_the_version_that_it_began_in(tree: Tree, tmp_path: Path) -> None:
    write(tmp_path, UNTIL_ANOTHER_COUNTS, CONFIG)
    async with serving(tmp_path, python=tree.python) as pilot:
        event = asyncio.create_task(pilot.ask("/__counters/test", "POST"))
        while json.loads((await pilot.ask("/__counters"))[1])["HITS"] < 10:
            await asyncio.sleep(0.01)
        assert await pilot.save(ENTRY.replace("{VERSION}", "v2"))
        assert not event.done()
        assert (await pilot.ask())[1].startswith("v2")
        assert await event == (200, '["in v1"]')


async def test_from_the_first_deploy_to_the_end(host: Host, tmp_path: Path) -> None:
    app = folder(tmp_path / "app")
    await host.deploy(app)
    assert await host.get("app") == (200, "v1 6")
    await host.deploy(folder(tmp_path / "app", "v2"))
    assert await host.get("app") == (200, "v2 7")
    await host.cli("rollback", "--name", "app")
    assert await host.get("app") == (200, "v1 8")
    assert re.search(r" counters +count *\n[ ─]+\n HITS +8", await host.cli("status"))
    await host.cli("delete", "--name", "app", "--yes")
    assert (await host.get("app"))[0] == 404


async def test_on_a_host_the_limits_of_a_request_hold_for_an_event(host: Host, tmp_path: Path) -> None:
    config = CONFIG.replace("HITS", "LIMITED") + "[limits]\nsubrequests = 20\n"
    entry = counting("v1", 10).replace("HITS", "LIMITED")
    await host.deploy(worker(tmp_path / "limited", entry, config, "limited"))
    status, text = await host.ask("/__counters/limited", "POST")
    assert (status, "v1: 10 of" in text) == (200, True), text
    await host.deploy(worker(tmp_path / "limited", entry.replace("< 10:", "< 1000:"), config, "limited"))
    status, text = await host.ask("/__counters/limited", "POST")
    assert (status, "more than 20 of one request (subrequests)" in text) == (500, True), text
    assert await host.ask("/__counters/nobody", "POST") == (500, "nobody: there is no such worker on this host")


async def test_what_it_keeps_goes_with_the_last_worker_that_has_it(host: Host, tmp_path: Path) -> None:
    config = CONFIG.replace("HITS", "KEPT")
    for name in ("one", "two"):
        await host.deploy(
            worker(tmp_path / name, ENTRY.replace("HITS", "KEPT").replace("{VERSION}", "v"), config, name)
        )
    assert await host.get("one") == (200, "v 6")
    file = host.data / "state/counters/KEPT"
    assert "removed" not in await host.cli("delete", "--name", "one", "--yes", "--purge")
    assert await host.get("two") == (200, "v 7")
    assert "removed" not in await host.cli("delete", "--name", "two", "--yes")
    assert file.read_text() == "7"
    await host.deploy(tmp_path / "two")
    assert await host.get("two") == (200, "v 8")
    assert "removed: Counters KEPT" in await host.cli("delete", "--name", "two", "--yes", "--purge")
    assert not file.exists()
    await host.deploy(tmp_path / "two")
    assert await host.get("two") == (200, "v 6")


async def test_wrangler_uploads_it(host: Host, tmp_path: Path) -> None:
    app = worker(
        tmp_path / "counted",
        ENTRY.replace("{VERSION}", "w").replace("HITS", "WRANGLED"),
        WRANGLER.replace("HITS", "WRANGLED"),
        "counted",
    )
    environment = {
        **os.environ, **QUIET, "CLOUDFLARE_API_BASE_URL": f"{host.url}/client/v4", "CLOUDFLARE_API_TOKEN": host.token,
        "CLOUDFLARE_ACCOUNT_ID": "host", "HOME": str(tmp_path), "WRANGLER_HIDE_BANNER": "true",
    }  # fmt: skip
    done = subprocess.run(
        [*wrangler("4.42.2", (18, 0)), "deploy"],
        cwd=app,
        env=environment,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    assert await host.get("counted") == (200, "w 301")
