"""The unmodified Wrangler, the oldest that deploys Python and the newest, sends assets to a host."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting
from sites import Got, get, lay_out
from wrangler_support import QUIET, wrangler

OLD, NEW = "4.42.2", "4.164.0"
NODES = {OLD: (18, 0), NEW: (22, 12)}
TOP = 'compatibility_flags = ["python_workers"]\n'
SITE: dict[str, str | bytes] = {
    "index.html": "home", "about.html": "about", "404.html": "lost", "big.bin": os.urandom(600_000), "bare": "no type",
    ".well-known/x.txt": "dot", "secret.txt": "s", ".assetsignore": "secret.txt\n", "_redirects": "/old /about 301\n",
    "_headers": "/*\n  X-All: 1\n",
}  # fmt: skip

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        running.token = (await running.cli("host", "--data", str(running.data), "token", "create", "ci")).strip()
        yield running


@pytest.fixture(params=[OLD, NEW])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def run(host: Host, version: str, folder: Path, *words: str) -> str:
    """What `wrangler WORDS` prints."""
    environment = {
        **os.environ, **QUIET, "CLOUDFLARE_API_BASE_URL": f"{host.url}/client/v4", "CLOUDFLARE_API_TOKEN": host.token,
        "CLOUDFLARE_ACCOUNT_ID": "host", "NO_COLOR": "1", "HOME": str(folder), "WRANGLER_HIDE_BANNER": "true",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *wrangler(version, NODES[version]), *words, cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output + host.log()[-3000:]
    return output


def named(folder: Path, name: str) -> Path:
    config = folder / "wrangler.toml"
    config.write_text(config.read_text().replace('name = "site"', f'name = "{name}"'))
    return folder


@pytest.mark.parametrize("alone", [False, True], ids=["with a worker", "alone"])
async def test_wrangler_deploys_assets(host: Host, version: str, tmp_path: Path, alone: bool) -> None:
    name = f"w{version.replace('.', '-')}{'-alone' * alone}"
    how = {"script": None} if alone else {"top": TOP}
    lay_out(tmp_path, SITE, not_found_handling="404-page", **how)
    named(tmp_path, name)
    output = await run(host, version, tmp_path, "deploy")
    assert "Success! Uploaded 6 files" in output
    prefix = f"/_w/{name}"

    async def answered(path: str) -> Got:
        return await get(host, path, prefix=prefix)

    about = await answered("/about")
    assert (about.status, about.body, about.headers["x-all"]) == (200, b"about", "1")
    assert (await answered("/big.bin")).body == SITE["big.bin"]
    assert "content-type" not in (await answered("/bare")).headers
    assert (await answered("/old")).headers["location"] == f"{prefix}/about"
    nowhere = await answered("/secret.txt")
    assert (nowhere.status, nowhere.body) == ((404, b"lost") if alone else (200, b"worker GET"))
    if not alone:
        assert (await answered("/via/about.html")).body == b"about"

    (tmp_path / "public/about.html").write_text("changed")
    output = await run(host, version, tmp_path, "deploy")
    assert re.search(r"Uploaded 1 file \(5 already uploaded\)", output)
    assert (await answered("/about")).body == b"changed"
    output = await run(host, version, tmp_path, "deploy")
    assert "No updated asset files to upload" in output or "No files to upload" in output
    if version == NEW:
        first = (await run(host, version, tmp_path, "versions", "list", "--json")).partition("[")[2]
        id = re.search(r'"id": "([0-9a-f-]{36})"', first)
        assert id
        await run(host, version, tmp_path, "rollback", id[1], "--yes", "--message", "to the first")
        assert (await answered("/about")).body == b"about"
    await run(host, version, tmp_path, "delete", "--force")
    assert (await answered("/about")).status == 404
