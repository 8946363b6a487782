"""What is watched: folders that are swapped for others, links, and what only looks as if it were not the worker's."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = """
import build, dist, helper, linked.part, pkg, pkg.sub
from workers import Response

def fetch(request):
    return Response(" ".join([pkg.V, pkg.sub.V, helper.V, linked.part.V, build.V, dist.V]))
"""
MODULES = {"pkg": "pkg/__init__.py", "sub": "pkg/sub/__init__.py", "build": "build/__init__.py",
           "dist": "dist/__init__.py"}  # fmt: skip
ELSEWHERE = {"helper": "helper.py", "linked": "linked/part.py"}
ORDER = ("pkg", "sub", "helper", "linked", "build", "dist")


class Tree:
    """A worker whose answer is the values of its modules, some of which are links to another folder."""

    def __init__(self, pilot: Served) -> None:
        self.pilot, self.folder, self.other = pilot, pilot.folder, pilot.folder.parent / "elsewhere"
        self.values = dict.fromkeys(ORDER, "0")

    def path(self, name: str) -> Path:
        return self.folder / MODULES[name] if name in MODULES else self.other / ELSEWHERE[name]

    async def becomes(self, **values: str) -> None:
        """Soon, the answer is this."""
        self.values.update(values)
        wanted, answer = (200, " ".join(self.values[name] for name in ORDER)), None
        try:
            async with asyncio.timeout(20):
                while (answer := await self.pilot.ask()) != wanted:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{answer}, not {wanted}:\n{self.pilot.log()[-3000:]}") from None

    async def edited(self, *names: str) -> None:
        """Each of these is written and seen, once nothing is on its way any more."""
        for name in names:
            await asyncio.sleep(1.2)
            value = f"{name}-{os.urandom(4).hex()}"
            self.path(name).write_text(f"V = {value!r}\n")
            await self.becomes(**{name: value})


def lay(folder: Path, **values: str) -> None:
    """The tree of a worker, with links to ``elsewhere`` beside it."""
    write(folder, ENTRY, files={path: f"V = {values.get(name, '0')!r}\n" for name, path in MODULES.items()})
    (folder / "helper.py").symlink_to("../elsewhere/helper.py")
    (folder / "linked").symlink_to("../elsewhere/linked")
    (folder / "pkg/loop").symlink_to("..")
    (folder / "env").mkdir()
    (folder / "env/pyvenv.cfg").write_text("home = /usr\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tree(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tree]:
    folder = tmp_path_factory.mktemp("watched")
    for path in ELSEWHERE.values():
        (folder / "elsewhere" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "elsewhere" / path).write_text("V = '0'\n")
    (folder / "worker").mkdir()
    lay(folder / "worker")
    async with serving(folder / "worker") as pilot:
        yield Tree(pilot)


def moved(old: Path, new: Path) -> None:
    old.rename(old.parent.parent / f"old-{os.urandom(4).hex()}")
    new.rename(old)


def recreated(old: Path, new: Path) -> None:
    """The kernel may well give the new folder the old one's number."""
    files = {path.relative_to(new): path.read_text() for path in new.rglob("*.py")}
    shutil.rmtree(old)
    for name, text in files.items():
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(text)


@pytest.mark.parametrize("swap", [moved, recreated])
@pytest.mark.parametrize(("where", "names"), [("pkg", ["pkg", "sub"]), ("pkg/sub", ["sub"])])
async def test_a_folder_that_takes_anothers_place(
    tree: Tree, swap: Callable[[Path, Path], None], where: str, names: list[str]
) -> None:
    new = tree.folder.parent / "new"
    shutil.copytree(tree.folder / where, new, symlinks=True)
    value = f"new-{os.urandom(4).hex()}"
    for name in names:
        (new / tree.path(name).relative_to(tree.folder / where)).write_text(f"V = {value!r}\n")
    swap(tree.folder / where, new)
    shutil.rmtree(new, ignore_errors=True)
    await tree.becomes(**dict.fromkeys(names, value))
    await tree.edited(*names)


async def test_the_workers_own_folder_too(tree: Tree) -> None:
    new = tree.folder.parent / "other-worker"
    shutil.copytree(tree.folder, new, symlinks=True)
    (new / MODULES["pkg"]).write_text("V = 'other'\n")
    tree.folder.rename(tree.folder.parent / "gone")
    await asyncio.sleep(0.2)
    new.rename(tree.folder)
    await tree.becomes(pkg="other")
    await tree.edited("pkg", "sub")


async def test_another_branch(tree: Tree) -> None:
    def git(*words: str) -> None:
        own = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *own, *words], cwd=tree.folder, check=True, capture_output=True)

    def commit(pkg: str | None) -> None:
        if pkg is None:
            shutil.rmtree(tree.folder / "pkg")
        else:
            tree.path("pkg").write_text(f"V = {pkg!r}\n")
        git("add", "-A")
        git("commit", "-qm", "a")

    git("init", "-q")
    commit("main")
    await tree.becomes(pkg="main")
    git("checkout", "-qb", "bare")
    commit(None)
    git("checkout", "-q", "main")
    await tree.becomes(pkg="main")
    git("checkout", "-q", "bare")
    await asyncio.sleep(0.5)
    git("checkout", "-q", "main")
    await tree.becomes(pkg="main")
    await tree.edited("pkg", "sub")
    shutil.rmtree(tree.folder / ".git")


def aside(path: Path, text: str) -> None:
    """As most editors save: the new text takes the old one's place."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def backed_up(path: Path, text: str) -> None:
    """As vim does with ``backupcopy=no``."""
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)


@pytest.mark.parametrize("save", [aside, backed_up])
@pytest.mark.parametrize("name", ["sub", "helper", "linked", "build", "dist"])
async def test_ways_to_save(tree: Tree, save: Callable[[Path, str], None], name: str) -> None:
    for number in range(2):
        value = f"{save.__name__}-{number}"
        save(tree.path(name), f"V = {value!r}\n")
        await tree.becomes(**{name: value})


async def test_links(tree: Tree) -> None:
    await tree.edited("helper", "linked")
    (tree.other / "helper2.py").write_text("V = 'second'\n")
    (tree.other / "hop").symlink_to("helper2.py")
    link = tree.folder / "helper.py"
    link.unlink()
    link.symlink_to("../elsewhere/hop")
    await tree.becomes(helper="second")
    await asyncio.sleep(1.2)
    (tree.other / "helper2.py").write_text("V = 'two hops away'\n")
    await tree.becomes(helper="two hops away")
    (tree.other / "hop").unlink()
    (tree.other / "hop").symlink_to("helper.py")
    await tree.becomes(helper=tree.path("helper").read_text().split("'")[1])
    shutil.copytree(tree.other / "linked", tree.other / "linked2")
    (tree.other / "linked2/part.py").write_text("V = 'another folder'\n")
    (tree.folder / "linked").unlink()
    (tree.folder / "linked").symlink_to(tree.other / "linked2")
    await tree.becomes(linked="another folder")
    moved(tree.other / "linked2", tree.other / "linked")
    (tree.other / "linked").symlink_to("linked2")
    await tree.edited("linked")


async def test_what_is_an_environment_or_ignored_reloads_nothing(tree: Tree) -> None:
    (tree.folder / ".gitignore").write_text("/made/\n*.csv\n")
    (tree.folder / "env/lib").mkdir()
    (tree.folder / "made").mkdir()
    await tree.edited("pkg")
    since = len(tree.pilot.events)
    for name in ("env/lib/x.py", "made/y.py", "data.csv"):
        (tree.folder / name).write_text("x = 1\n")
    cache = tree.folder / "pytest-cache-files-x1y2"
    cache.mkdir()
    (cache / "README.md").write_text("of pytest's first run\n")
    cache.rename(tree.folder / ".pytest_cache")
    await tree.edited("pkg")
    reloads = [line["files"] for line in tree.pilot.events[since:] if line["event"] == "reloaded"]
    assert reloads == [["pkg/__init__.py"]]


async def test_secrets_that_are_a_link(tmp_path: Path) -> None:
    entry = "from workers import Response\ndef fetch(request, env): return Response(env.get('SECRET', 'none'))\n"
    write(tmp_path / "app", entry, files={"../shared.vars": "SECRET=one"})
    (tmp_path / "app/.dev.vars").symlink_to("../shared.vars")
    async with serving(tmp_path / "app") as pilot:
        assert await pilot.ask() == (200, "one")
        (tmp_path / "shared.vars").write_text("SECRET=two")
        await pilot.event("reloaded")
        assert await pilot.ask() == (200, "two")


async def test_what_it_prints_into_a_file_beside_the_worker_reloads_nothing(tmp_path: Path) -> None:
    write(tmp_path, SAYS.format("old"))
    words = ["dev", "--port", "0", "--log-format", "json"]
    with (tmp_path / "said").open("w") as said:
        pilot = subprocess.Popen(
            [sys.executable, "-P", "-m", "runtime.cli", *words], cwd=tmp_path, stdout=said, stderr=said
        )
    try:
        url = (await said_of(tmp_path, "ready"))[0]["url"]
        await asyncio.to_thread(answer_of, url)  # which is told there
        (tmp_path / "entry.py").write_text(SAYS.format("new"))
        async with asyncio.timeout(30):
            while await asyncio.to_thread(answer_of, url) != "new":
                await asyncio.sleep(0.05)
        assert len(await said_of(tmp_path, "reloaded")) == 1
    finally:
        pilot.terminate()
        await asyncio.to_thread(pilot.wait, 30)


NO_WATCHES = ("unshare", "--map-root-user", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_watches; exec "$@"', "sh")
LIMITS = sys.platform == "linux" and shutil.which("unshare") and not subprocess.call([*NO_WATCHES, "true"])


@pytest.mark.skipif(not LIMITS, reason="needs a user namespace")
async def test_a_system_that_watches_no_more_folders_is_told_of(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*NO_WATCHES, sys.executable])} "$@"\n')
    python.chmod(0o755)
    folder = tmp_path / "worker"
    write(folder, SAYS.format("here"))
    async with serving(folder, python=str(python)) as pilot:
        await pilot.says("max_user_watches")
        assert await pilot.ask() == (200, "here")


SAYS = "from workers import Response\n\ndef fetch(request):\n    return Response({!r})\n"


async def said_of(folder: Path, event: str) -> list[dict[str, Any]]:
    """What has been told of this event, once something has."""
    async with asyncio.timeout(60):
        while True:
            lines = (folder / "said").read_text().splitlines()
            found = [one for line in lines if line.endswith("}") and (one := json.loads(line))["event"] == event]
            if found:
                return found
            await asyncio.sleep(0.05)


def answer_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())
