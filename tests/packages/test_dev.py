"""What a worker depends on, as `pilot dev` installs it: from an index on this machine, apart from our own packages."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import _brotli
import pytest

from runtime import uv
from runtime.packages.cache import prune
from runtime.packages.locks import Lock
from serving import serving, write
from wheels import Index, environment, indexing, project, wheel, write_wheel

ENTRY = "import outer\nfrom workers import Response\ndef fetch(): return Response(outer.told())\n"
HEAD = '# /// script\n# dependencies = ["outer==1.0"]\n# ///\n'


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """``outer`` in two releases, which needs ``inner``; a compiled one; and one that is called like one of ours."""
    house = tmp_path_factory.mktemp("wheels")
    wheel(house, "outer", "1.0", "outer 1.0", "inner")
    wheel(house, "outer", "1.1", "outer 1.1", "inner")
    wheel(house, "inner", "2.0", "inner 2.0")
    wheel(house, "msgspec", "0.0.1", "their msgspec")
    wheel(house, "late", "1.0", "late 1.0")
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    compiled = {Path(_brotli.__file__).name: Path(_brotli.__file__).read_bytes()}
    write_wheel(house, "compiled", "1.0", compiled, f"{tag}-{tag}-{platform}")
    with indexing(house) as index:
        yield index


def sets(folder: Path) -> list[Path]:
    return [path for path in (folder / "pilot/packages/sets").iterdir() if path.is_dir()]


async def test_they_are_installed_apart_from_ours_and_again_when_changed(index: Index, tmp_path: Path) -> None:
    entry = (
        "import importlib.util, _brotli, inner, msgspec, outer, workers\nfrom workers import Response\n"
        "async def fetch(request):\n"
        "    if request.method == 'POST':\n"
        "        return Response((await request.form_data())['field'])\n"
        "    told = [outer.told(), msgspec.told(), str(hasattr(_brotli, 'Compressor'))]\n"
        "    others = [name for name in ('click', 'starlette') if importlib.util.find_spec(name)]\n"
        "    return Response(', '.join([*told, *others, str(hasattr(workers, 'WorkerEntrypoint'))]))\n"
    )
    needs = ["outer", "msgspec", "compiled", "pilotlight[vllm]", "workers-py", "workers_runtime_sdk", "webtypy"]
    write(tmp_path / "app", entry, files={"pyproject.toml": project(*needs)})
    async with serving(tmp_path / "app", env=environment(index, tmp_path)) as pilot:
        assert await pilot.ask() == (200, "outer 1.1 inner 2.0, their msgspec, True, True"), pilot.log()
        assert any(line["event"] == "progress" and line["key"] == "packages of test" for line in pilot.events)
        assert "4 packages installed" in (await pilot.event("progress_done"))["text"]
        assert await pilot.ask(method="POST", data={"field": "ours has its own"}) == (200, "ours has its own")
        assert not [path for path in index.asked if "workers" in path or "webtypy" in path]
        assert await pilot.save(entry + "\n# again\n")
        assert await pilot.ask() == (200, "outer 1.1 inner 2.0, their msgspec, True, True"), pilot.log()

        (tmp_path / "app/pyproject.toml").write_text(project("outer<1.1", *needs[1:]))
        await pilot.says("'reloaded', 'version': 3")
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0, their msgspec, True, True"), pilot.log()
    assert len(sets(tmp_path)) == 2


async def test_the_old_code_goes_on_meanwhile_and_after_a_failure(index: Index, tmp_path: Path) -> None:
    app = tmp_path / "app"
    write(app, ENTRY, files={"pyproject.toml": project("outer<1.1")})
    async with serving(app, env=environment(index, tmp_path)) as pilot:
        index.open.clear()
        (app / "pyproject.toml").write_text(project("outer<1.1", "late"))
        while not any("/late-1.0" in path for path in index.asked):
            await asyncio.sleep(0.01)
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0")
        index.open.set()
        await pilot.says("'reloaded'")

        since = len(pilot.events)
        (app / "pyproject.toml").write_text(project("outer<1.1", "nowhere>=3"))
        error = (await pilot.says("'event': 'error'", since=since))["text"]
        assert error.startswith("pyproject.toml, line 5: 'nowhere>=3' cannot be had\n")
        assert "nowhere was not found" in error
        assert error.endswith("Mend that line of pyproject.toml and save it.")
        await pilot.says("version 2 keeps answering", since=since)
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0")

        (app / "pyproject.toml").write_text(project("outer =>1"))
        error = (await pilot.says("is not a requirement", since=since))["text"]
        assert error.startswith("pyproject.toml, line 5: 'outer =>1' is not a requirement")


async def test_what_was_installed_works_offline_and_two_at_once_install_it_once(index: Index, tmp_path: Path) -> None:
    app, before = tmp_path / "app", len(index.asked)
    write(app, ENTRY, files={"pyproject.toml": project("outer==1.0")})
    async with (
        serving(app, env=environment(index, tmp_path)) as one,
        serving(app, "--no-persist", env=environment(index, tmp_path)) as two,
    ):
        assert await one.ask() == await two.ask() == (200, "outer 1.0 inner 2.0")
    assert len(sets(tmp_path)) == 1
    assert not [path for path in sets(tmp_path)[0].parent.iterdir() if path.name.startswith(".new-")]
    asked = len(index.asked)
    async with serving(app, env=environment(index, tmp_path)) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0")
    assert before < asked == len(index.asked)

    words = [sys.executable, "-P", "-m", "runtime.cli", "deploy", "--dry-run"]  # the same pins, without asking anybody
    env = {**os.environ, **environment(index, tmp_path)}
    done = subprocess.run(words, cwd=app, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "2 packages: inner==2.0, outer==1.0" in done.stdout, done.stderr
    assert asked == len(index.asked)


async def test_without_a_network_it_is_said_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "app", ENTRY, files={"requirements.txt": "# ours\nouter==1.0  # pinned\n"})
    async with serving(tmp_path / "app", env=environment(None, tmp_path)) as pilot:
        error = (await pilot.event("error"))["text"]
        assert error.startswith("requirements.txt, line 2: the packages cannot be fetched")
        assert "Is this machine online?" in error
        assert (await pilot.ask())[0] == 500


@pytest.mark.parametrize(("files", "told"), [
    ({"requirements.txt": "outer==1.0\nworkers-py\n"}, "outer 1.0 inner 2.0"),
    ({"requirements.txt": "-r more.txt\n", "more.txt": "outer==1.0\n"}, "outer 1.0 inner 2.0"),
    ({"pyproject.toml": project("outer==1.0"), "requirements.txt": "nowhere"}, "outer 1.0 inner 2.0"),
    ({"pyproject.toml": project("nowhere"), "entry.py": HEAD + ENTRY}, "outer 1.0 inner 2.0"),
    ({"pyproject.toml": project("outer<1.1"), "python_modules/inner.py": "def told(): return 'vendored'",
      "python_modules/outer.py": "not seen", "python_modules/workers/__init__.py": "raise SystemExit",
      "python_modules/js.py": "raise SystemExit", "python_modules/pyvenv.cfg": ""}, "outer 1.0 inner 2.0"),
    ({"python_modules/outer.py": "def told(): return 'vendored'", "python_modules/workers.py": "raise SystemExit"},
     "vendored"),
], ids=["requirements", "included", "project first", "head first", "set first", "python_modules"])  # fmt: skip
async def test_where_they_are_named(index: Index, tmp_path: Path, files: dict[str, str], told: str) -> None:
    write(tmp_path / "app", ENTRY, files=files)
    async with serving(tmp_path / "app", env=environment(index, tmp_path)) as pilot:
        assert await pilot.ask() == (200, told), pilot.log()


async def test_a_lock_beside_it_is_kept_to(index: Index, tmp_path: Path) -> None:
    app, env = tmp_path / "app", environment(index, tmp_path)
    write(app, ENTRY, files={"pyproject.toml": project("outer==1.0")})
    subprocess.run([uv.command(), "lock", "--quiet"], cwd=app, check=True, timeout=120, env={**os.environ, **env})
    (app / "pyproject.toml").write_text(project("outer"))
    async with serving(app, env=env) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()
        (app / "pyproject.toml").write_text(project("outer", "late"))
        error = (await pilot.event("error"))["text"]
        assert error == "uv.lock: does not have 'late', which pyproject.toml names\n  uv lock"


async def test_a_pylock_is_kept_to(index: Index, tmp_path: Path) -> None:
    """Beside a pyproject.toml, beside a requirements.txt, and alone; uv's own goes first."""
    app, env = tmp_path / "app", environment(index, tmp_path)
    write(app, ENTRY, files={"pyproject.toml": project("outer==1.0", "pilotlight; python_version < '3'")})
    export = [uv.command(), "export", "--quiet", "--format", "pylock.toml", "-o", "pylock.toml"]
    subprocess.run(export, cwd=app, check=True, timeout=120, stdout=subprocess.DEVNULL, env={**os.environ, **env})
    (app / "uv.lock").unlink()
    with (app / "pylock.toml").open("a") as lock:
        for name, marker in (("late", "'dev' in dependency_groups"), ("compiled", "sys_platform == 'none'")):
            lock.write(f'[[packages]]\nname = "{name}"\nversion = "9.0"\nmarker = "{marker}"\n')
        lock.write('[[packages]]\nname = "w"\ndirectory = { path = ".", editable = true }\n')
    (app / "pyproject.toml").write_text(project("outer"))
    async with serving(app, env=env) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()
        (app / "pyproject.toml").write_text(project("outer", "msgspec"))
        error = (await pilot.event("error"))["text"]
        assert error.startswith("pylock.toml: does not have 'msgspec', which pyproject.toml names\n  uv export")
    (app / "pyproject.toml").unlink()
    async with serving(app, env=env) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()
    (app / "requirements.txt").write_text("--prefer-binary\nouter\n")
    async with serving(app, env=env) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()
        (app / "pylock.toml").write_text('lock-version = "1.0"\n[[packages]]\nname = "outer"\n')
        assert "pylock.toml: is no lock (PEP 751): 'version'" in (await pilot.event("error"))["text"]


@pytest.mark.parametrize(("file", "head"), [("pyproject.toml", ""), ("entry.py", HEAD)], ids=["project", "head"])
async def test_a_project_for_another_python_has_versions_for_this_one(
    index: Index, tmp_path: Path, file: str, head: str
) -> None:
    """As the projects that Cloudflare's own templates make; the lock is what another Python has."""
    needs = "# dependencies" if head else ""
    text = head.replace(needs, f'# requires-python = ">=3.99"\n{needs}') + ENTRY
    lock = 'version = 1\nrequires-python = ">=3.99"\n[[package]]\nname = "outer"\nversion = "1.1"\n'
    files = {"pyproject.toml": project("outer==1.0").replace(">=3.11", ">=3.99"), "uv.lock": lock}
    write(tmp_path / "app", text, files={"entry.py.lock": lock} if head else files)
    here, left = sys.version.split()[0], "entry.py.lock" if head else "uv.lock"
    for _ in range(2):  # told again when nothing is chosen any more
        async with serving(tmp_path / "app", env=environment(index, tmp_path)) as pilot:
            assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()
            assert (await pilot.event("warning"))["text"] == (
                f"{file}: requires-python is '>=3.99', and this is Python {here}: versions are chosen for this one, "
                f"and {left} is left aside"
            )


@pytest.mark.parametrize(("python", "told"), [
    (">=3.99", "pylock.toml: requires-python is '>=3.99', and this is Python "),
    ("soon", "pylock.toml: requires-python is 'soon', which names no versions\n  As in:  requires-python"),
])  # fmt: skip
async def test_a_lock_alone_for_another_python_is_told_of_before_uv_is_run(
    index: Index, tmp_path: Path, python: str, told: str
) -> None:
    lock = f'lock-version = "1.0"\nrequires-python = "{python}"\n[[packages]]\nname = "outer"\nversion = "1"\n'
    write(tmp_path / "app", ENTRY, files={"pylock.toml": lock})
    asked = len(index.asked)
    async with serving(tmp_path / "app", env=environment(index, tmp_path)) as pilot:
        error = (await pilot.event("error"))["text"]
    assert error.startswith(told)
    assert len(index.asked) == asked


async def test_a_lock_may_be_long(index: Index, tmp_path: Path) -> None:
    app, env = tmp_path / "app", environment(index, tmp_path)
    write(app, ENTRY, files={"pyproject.toml": project("outer==1.0")})
    subprocess.run([uv.command(), "lock", "--quiet"], cwd=app, check=True, timeout=120, env={**os.environ, **env})
    with (app / "uv.lock").open("a") as lock:
        lock.write("# a wheel for every platform\n" * 50_000)
    async with serving(app, env=env) as pilot:
        assert await pilot.ask() == (200, "outer 1.0 inner 2.0"), pilot.log()


async def test_what_this_project_needs_is_not_what_its_sample_needs(tmp_path: Path) -> None:
    """``make dev`` serves the worker that is configured beside our own pyproject.toml."""
    words = ["--persist-to", str(tmp_path / "state")]
    async with serving(Path(__file__).parents[2], *words, env=environment(None, tmp_path)) as pilot:
        status, page = await pilot.ask()
        assert (status, "<html" in page) == (200, True), page
        assert not (tmp_path / "pilot/packages").exists()


async def test_new_contents_of_python_modules_are_loaded(index: Index, tmp_path: Path) -> None:
    app = tmp_path / "app"
    write(app, ENTRY, files={"python_modules/outer.py": "def told(): return 'old'"})
    async with serving(app, env=environment(index, tmp_path)) as pilot:
        assert await pilot.ask() == (200, "old"), pilot.log()
        assert await pilot.save(ENTRY + "\n")
        changed = "def told(): return 'newer'"  # of another size: Python knows compiled files by size and whole second
        (app / "python_modules/outer.py").write_text(changed)
        (app / "python_modules/.synced").write_text("1")
        await pilot.says("'version': 3")
        assert await pilot.ask() == (200, "newer"), pilot.log()


async def test_nothing_is_installed_when_told_so(index: Index, tmp_path: Path) -> None:
    write(tmp_path / "app", ENTRY, files={"pyproject.toml": project("outer")})
    async with serving(tmp_path / "app", "--no-install", env=environment(index, tmp_path)) as pilot:
        error = await pilot.event("script_error")
        assert (error["what"], error["where"]) == ("ModuleNotFoundError: No module named 'outer'", "entry.py, line 1")
        assert "dependencies" in error["remedy"]
    assert not (tmp_path / "pilot").exists()


def test_sets_are_removed_once_nobody_has_used_them_for_a_month(tmp_path: Path) -> None:
    (tmp_path / "pins").mkdir()
    for name in ("new", "old", "old-but-in-use"):
        (tmp_path / "sets" / name / "inside").mkdir(parents=True)
        (tmp_path / "sets" / f"{name}.lock").touch()
        if name != "new":
            os.utime(tmp_path / "sets" / f"{name}.lock", (time.time() - 31 * 86400,) * 2)
    with Lock(tmp_path / "sets/old-but-in-use.lock") as lock:
        assert lock.share()
        prune(tmp_path)
    assert {path.name for path in (tmp_path / "sets").iterdir() if path.is_dir()} == {"new", "old-but-in-use"}
