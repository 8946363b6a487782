"""`pilot deploy` and its like: what is sent, what is said."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from hosting import API, Host, hosting, says, worker
from runtime.config import load

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        yield running


LISTS = """
import pathlib
from workers import Response

def fetch(request):
    here = pathlib.Path(__file__).parent
    return Response.json(sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()))
"""


async def sent(host: Host, folder: Path, name: str) -> list[str]:
    """The files of the worker that LISTS them, as they are on the host."""
    return list(json.loads((await host.get(name))[1]))


async def test_what_is_sent_is_what_git_has(host: Host, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout

    texts = {
        "../.gitignore": "*.csv\n/app/top/\nsub\n# note\n!again.csv\n", "../pyproject.toml": "",
        ".gitignore": "*.tmp\n/rooted\ndeep/**/x\n[ab].txt\n\\!bang\nspace\\ \ncrlf\r\nlog*/\n!logs/\n",
        "data/.gitignore": "!keep.csv\nonly\n", "data/keep.csv": "", "data/lose.csv": "", "again.csv": "",
        "top/x.py": "", "data/top/x.py": "", "sub": "", "data/sub/y.py": "", "a.tmp": "", "rooted/r.py": "",
        "data/rooted/r.py": "", "deep/1/2/x": "", "deep/1/y": "", "a.txt": "", "c.txt": "", "!bang": "", "space ": "",
        "crlf": "", "logs/l.py": "", "logger/l.py": "", "data/only/o": "", "tracked.csv": "", "top/tracked.py": "",
        "words.sqlite": "", "w.db": "", "w.log": "", "w.lock": "", "build/__init__.py": "", "dist/x.py": "",
        "data/models.yaml": "", "data/pyproject.toml": "", "data/wrangler.toml": "", "é ü.txt": "",
    }  # fmt: skip
    folder = worker(tmp_path / "app", LISTS, name="lists", **texts)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    git("add", "-f", "tracked.csv", "top/tracked.py")
    printed = await host.cli("deploy", cwd=folder)
    output = git("ls-files", "-coz", "--exclude-per-directory=.gitignore").split("\0")
    wanted = {name for name in output if name and not name.endswith(".gitignore")} - {"wrangler.toml"}
    assert set(await sent(host, folder, "lists")) == wanted
    assert {"data/keep.csv", "build/__init__.py", "words.sqlite", "tracked.csv"} <= wanted
    assert "stays here, as .gitignore says: !bang, a.tmp, a.txt, crlf, logger/ and 8 more\n" in printed


async def test_what_is_left_out_shows_it_by_itself(host: Host, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/deep/far.py").write_text("")
    folder = worker(tmp_path / "app", LISTS, name="left", **{
        "env/pyvenv.cfg": "", "env/lib/x.py": "", "myenv/pyvenv.cfg": "", "myenv/lib/x.py": "", "venv/x.py": "",
        "conda/conda-meta/h": "", "conda/x.py": "", "node_modules/x/index.js": "", "__pycache__/entry.pyc": "",
        ".git/config": "", ".env": "A=1", ".dev.vars": "A=1", ".cache/x.py": "", "pkg/node_modules/x.js": "",
        "uv.lock": "", "python_modules/p.py": "", ".gitignore": "python_modules\n",
    })  # fmt: skip
    (folder / "helper.py").symlink_to("../elsewhere/deep/far.py")
    (folder / "folder").symlink_to("../elsewhere")
    (folder / "venv/loop").symlink_to("..")
    (folder / "dangling.py").symlink_to("nowhere")
    printed = await host.cli("deploy", cwd=folder)
    assert await sent(host, folder, "left") == [
        "entry.py",
        "folder/deep/far.py",
        "helper.py",
        "python_modules/p.py",
        "venv/x.py",
    ]
    assert "from elsewhere: folder/deep/far.py, helper.py\n" in printed


async def test_packages_beside_the_configuration_of_an_entry_in_a_folder(host: Host, tmp_path: Path) -> None:
    entry = "import vendored\nfrom workers import Response\ndef fetch(request): return Response(vendored.V)\n"
    folder = worker(tmp_path, "", name="src", **{"src/entry.py": entry, "python_modules/vendored.py": "V = 'sent'\n"})
    (folder / "wrangler.toml").write_text('name = "src"\nmain = "src/entry.py"\n')
    await host.deploy(folder)
    assert await host.get("src") == (200, "sent")


async def test_a_version_by_its_number_or_the_beginning_of_its_id(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("one"), name="named")
    first = await host.deploy(folder)
    (folder / "entry.py").write_text(says("two"))
    second = await host.deploy(folder)
    for wanted, number, text in (("1", 1, "one"), (second[:8], 2, "two"), (first.upper(), 1, "one"), ("2", 2, "two")):
        assert f"version {number} answers   {(first, second)[number - 1]}" in await host.cli(
            "rollback", wanted, cwd=folder
        )
        assert await host.get("named") == (200, text)
    for wanted in ("3", "-1", second[:3]):
        error = await host.cli("rollback", "--", wanted, cwd=folder, fails=True)
        assert f"has no version {wanted}. Those it has:  pilot versions" in error
    with closing(sqlite3.connect(host.data / "host.db")) as registry, registry:
        copy = "INSERT INTO version SELECT ?, worker, 9, row FROM version WHERE id=?"
        registry.execute(copy, (f"{second[:-1]}{'0' if second[-1] != '0' else '1'}", second))
    assert "begin with" in await host.cli("rollback", second[:8], cwd=folder, fails=True)
    assert await host.get("named") == (200, "two")


async def test_what_is_not_served_is_said_as_in_dev(tmp_path: Path) -> None:
    config = 'alarms = true\n[build]\ncommand = "true"\n'
    folder = worker(tmp_path, says("x"), config, name="unserved", **{".dev.vars": "nonsense here\n"})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "deploy", "--dry-run", cwd=folder, stderr=asyncio.subprocess.PIPE
    )
    output = [line.removeprefix("▲ ") for line in (await process.communicate())[1].decode().splitlines()]
    assert len(output) == 2
    assert output == [line for line in load(None, cwd=folder).warnings if ".dev.vars" not in line]


async def test_an_upload_with_what_is_not_served_is_told_what_to_do_instead(host: Host) -> None:
    form = aiohttp.FormData()
    bindings = [{"name": "BROWSER", "type": "browser"}]
    form.add_field("metadata", json.dumps({"main_module": "entry.py", "bindings": bindings}))
    form.add_field("entry.py", says("x").encode(), filename="entry.py", content_type="text/x-python")
    async with host.http.put(f"{host.url}{API}/scripts/browsing", data=form) as response:
        errors = (await response.json())["errors"]
    assert response.status == 400
    text = "the binding 'BROWSER' is of the type browser, which this host does not serve: run a browser as a service"
    assert text in errors[0]["message"]
