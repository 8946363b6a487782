"""What a worker depends on: pinned where it is deployed from, installed once on the host, from a folder of wheels."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from runtime import uv
from wheels import project, wheel

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = "import {0}\nfrom workers import Response\ndef fetch(request): return Response({0}.told())\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels: ``outer`` in two releases, which needs ``inner``; and one that only has a source."""
    house = tmp_path_factory.mktemp("wheels")
    wheel(house, "outer", "1.0", "outer 1.0", "inner")
    wheel(house, "outer", "1.1", "outer 1.1", "inner")
    wheel(house, "inner", "2.0", "inner 2.0")
    wheel(house, "native", "1.0", "made for this host")
    wheel(house, "pure", "1.0", "not used")
    with tarfile.open(house / "source-1.0.tar.gz", "w:gz") as archive:
        for name, text in {"setup.py": f"open({str(house / 'ran')!r}, 'w')", "PKG-INFO": "Name: source\n"}.items():
            about = tarfile.TarInfo(f"source-1.0/{name}")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    return house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(house: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    data = tmp_path_factory.mktemp("host") / "data"
    async with hosting(data, "--isolates", "1", "--wheelhouse", str(house)) as running:
        yield running


@pytest.fixture(autouse=True)
def offline(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The uv of `pilot deploy` looks nowhere else either."""
    for name, value in {"UV_FIND_LINKS": str(house), "UV_NO_INDEX": "1", "UV_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)


def sets(host: Host) -> set[str]:
    return {path.name for path in (host.data / "packages").iterdir() if not path.name.startswith(".")}


async def test_dependencies_are_pinned_and_installed_once(host: Host, tmp_path: Path) -> None:
    before = sets(host)
    for name in ("first", "second"):
        folder = worker(tmp_path / name, ENTRY.format("outer"), name=name, **{"pyproject.toml": project("outer>=1")})
        assert "2 packages: inner==2.0, outer==1.1" in await host.cli("deploy", cwd=folder)
        assert await host.get(name) == (200, "outer 1.1 inner 2.0")
    older = worker(tmp_path / "older", ENTRY.format("outer"), name="older", **{"pyproject.toml": project("outer<1.1")})
    await host.deploy(older)
    assert await host.get("older") == (200, "outer 1.0 inner 2.0")
    assert await host.get("first") == (200, "outer 1.1 inner 2.0")
    assert len(sets(host) - before) == 2


async def test_a_lock_beside_it_is_kept_to(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, ENTRY.format("outer"), name="locked", **{"pyproject.toml": project("outer==1.0")})
    subprocess.run([uv.command(), "lock", "--quiet"], cwd=folder, check=True, timeout=120)
    (folder / "pyproject.toml").write_text(project("outer"))
    await host.deploy(folder)
    assert await host.get("locked") == (200, "outer 1.0 inner 2.0")


async def test_what_cannot_be_had_is_said_in_uvs_words(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, ENTRY.format("outer"), name="lacks", **{"pyproject.toml": project("outer")})
    await host.deploy(folder)
    (folder / "pyproject.toml").write_text(project("nowhere"))
    assert "nowhere was not found" in await host.cli("deploy", cwd=folder, fails=True)
    (folder / "pyproject.toml").write_text("[project\n")
    assert "pyproject.toml" in await host.cli("deploy", cwd=folder, fails=True)
    assert await host.get("lacks") == (200, "outer 1.1 inner 2.0")


@pytest.mark.parametrize(("requirements", "told"), [
    (["nowhere==1.0"], "nowhere was not found"), (["outer==9"], "outer==9"), (["source==1.0"], "source==1.0"),
    (["outer"], "name==version"), (["--index-url=http://127.0.0.1/"], "name==version"), ("outer==1.0", "list"),
    (["outer @ http://127.0.0.1/a.whl"], "name==version"), (["outer==1.0\n-e ."], "name==version"), ([1], "name==vers"),
    (["./outer==1.0"], "name==version"), (["outer==1.0 --config-settings=a"], "name==version"), ({"a": 1}, "list"),
])  # fmt: skip
async def test_what_an_upload_may_not_ask_for(host: Host, house: Path, requirements: object, told: str) -> None:
    form, before = aiohttp.FormData(), sets(host)
    form.add_field("metadata", json.dumps({"main_module": "entry.py", "pilot": {"requirements": requirements}}))
    form.add_field("entry.py", "def fetch(): pass", filename="entry.py", content_type="text/x-python")
    async with host.http.put(f"{host.url}/client/v4/accounts/host/workers/scripts/odd", data=form) as response:
        answer = await response.json()
    assert (response.status, answer["errors"][0]["code"]) == (400, 10021), answer
    assert told in answer["errors"][0]["message"], answer
    assert sets(host) == before
    assert not (house / "ran").exists(), "a source was built"


async def test_packages_that_came_along(host: Host, tmp_path: Path) -> None:
    """As pywrangler sends them: what is pure Python serves as it is, what is compiled for Pyodide does not."""
    entry = (
        "import native, pure\nfrom workers import Response\n"
        "def fetch(request): return Response(f'{pure.told()}, {native.told()}')\n"
    )
    files = {
        "python_modules/pure.py": "def told(): return 'sent'\n",
        "python_modules/pure-1.0.dist-info/RECORD": "pure.py,,\n",
        "python_modules/native.py": "import _native\n",
        "python_modules/native-1.0.dist-info/RECORD": "native.py,,\n_native.cpython-312-wasm32-emscripten.so,,\n",
        "python_modules/_native.cpython-312-wasm32-emscripten.so": "\0asm",
    }  # fmt: skip
    await host.deploy(worker(tmp_path, entry, name="vendored", **files))
    assert await host.get("vendored") == (200, "sent, made for this host")


async def test_a_set_that_was_lost_is_installed_again(house: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with hosting(data, "--isolates", "1", "--wheelhouse", str(house)) as host:
        files = {"pyproject.toml": project("outer")}
        await host.deploy(worker(tmp_path / "app", ENTRY.format("outer"), name="app", **files))
    shutil.rmtree(data / "packages")
    async with hosting(data, "--isolates", "1", "--wheelhouse", str(house)) as host:
        assert await host.get("app") == (200, "outer 1.1 inner 2.0")
