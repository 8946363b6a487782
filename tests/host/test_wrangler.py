"""The unmodified Wrangler from npm deploys to a host: the oldest one that deploys Python, and the newest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from wrangler_support import QUIET, wrangler

OLD, NEW = "4.42.2", "4.164.0"
NODES = {OLD: (18, 0), NEW: (22, 12)}
ENTRY = """
from workers import Response, WorkerEntrypoint
import helper

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/fails"):
            raise ValueError("on purpose")
        print("seen", request.method)
        answer = await self.env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "York"})
        return Response(" ".join([helper.TEXT, self.env.PLACE, answer["response"], getattr(self.env, "KEY", "-")]))
"""
CONFIG = """
compatibility_date = "2025-09-01"
compatibility_flags = ["python_workers"]
[ai]
binding = "AI"
[vars]
PLACE = "New"
"""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@dataclass(frozen=True)
class Wrangler:
    """One version of it, in the folder of one worker, with a token of the host's."""

    command: list[str]
    folder: Path
    environment: dict[str, str]
    host: Host

    async def begin(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.command, *words, cwd=self.folder, env=self.environment, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    async def __call__(self, *words: str, stdin: str = "", fails: bool = False) -> str:
        """What `wrangler WORDS` prints."""
        process = await self.begin(*words)
        out, _ = await process.communicate(stdin.encode())
        assert bool(process.returncode) == fails, (words, out.decode(), self.host.log()[-3000:])
        return out.decode()

    def says(self, text: str) -> None:
        (self.folder / "helper.py").write_text(f"TEXT = {text!r}\n")

    async def deploy(self) -> str:
        """The new version's id."""
        printed = await self("deploy")
        found = re.search(r"Current Version ID: ([0-9a-f-]{36})", printed)
        assert found, printed
        return found[1]

    async def answer(self, path: str = "/") -> str:
        return (await self.host.get(self.folder.name, path))[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        running.token = (await running.cli("host", "--data", str(running.data), "token", "create", "ci")).strip()
        yield running


@pytest.fixture(scope="module", params=[OLD, NEW])
def run(request: pytest.FixtureRequest, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Wrangler:
    name = "w" + request.param.replace(".", "-")
    folder = worker(tmp_path_factory.mktemp(name) / name, ENTRY, CONFIG, name, **{"helper.py": ""})
    environment = {
        **os.environ, **QUIET, "CLOUDFLARE_API_BASE_URL": f"{host.url}/client/v4", "CLOUDFLARE_API_TOKEN": host.token,
        "CLOUDFLARE_ACCOUNT_ID": "host", "NO_COLOR": "1", "HOME": str(folder.parent),
        "WRANGLER_HIDE_BANNER": "true",  # which asks npm for something newer
    }  # fmt: skip
    return Wrangler(wrangler(request.param, NODES[request.param]), folder, environment, host)


async def test_from_the_first_deploy_to_the_end(run: Wrangler) -> None:
    run.says("one")
    first = await run.deploy()
    assert await run.answer() == "one New York -"
    run.says("two")
    second = await run.deploy()
    assert await run.answer() == "two New York -"

    (run.folder / "helper.py").write_text("import no_such_module\n")
    printed = await run("deploy", fails=True)
    assert "No module named 'no_such_module'" in printed
    assert "import no_such_module" in printed.split("Traceback")[-1]
    assert await run.answer() == "two New York -"

    await run("secret", "put", "KEY", stdin="hidden")
    assert await run.answer() == "two New York hidden"
    listed = json.loads(await run("versions", "list", "--json"))
    assert [row["number"] for row in listed] == [1, 2, 3]
    assert [row["id"] for row in listed[:2]] == [first, second]

    await run("versions", "deploy", f"{first}@50", f"{second}@50", "--yes")
    assert {(await run.answer()).split()[0] for _ in range(60)} == {"one", "two"}
    await run("rollback", first, "--yes", "--message", "back")
    assert {await run.answer() for _ in range(20)} == {"one New York -"}

    await follows(run)
    await run("delete", "--force")
    assert (await run.host.get(run.folder.name))[0] == 404
    printed = await replace(run, environment={**run.environment, "CLOUDFLARE_API_TOKEN": "wrong"})("deploy", fails=True)
    assert "Authentication error" in printed


async def follows(run: Wrangler) -> None:
    """`wrangler tail` shows what the worker is asked, prints and raises, until Ctrl-C."""
    tail = await run.begin("tail", run.folder.name, "--format", "pretty")
    asking, shown = asyncio.create_task(_ask(run)), ""
    assert tail.stdout is not None
    try:
        async with asyncio.timeout(90):
            while not all(told in shown for told in ("/good - Ok", "seen GET", "/fails - ", "on purpose")):
                shown += (await tail.stdout.readline()).decode()
                assert not tail.stdout.at_eof(), shown
    finally:
        asking.cancel()
        tail.send_signal(signal.SIGINT)
        await asyncio.wait_for(tail.communicate(), 60)


async def _ask(run: Wrangler) -> None:
    """Seldom for what fails: a version that fails often would be taken back."""
    while True:
        for path in ("/good", "/good", "/good", "/good", "/good", "/fails"):
            await run.answer(path)
            await asyncio.sleep(0.1)
