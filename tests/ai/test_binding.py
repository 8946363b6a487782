"""``env.AI`` from inside a worker: the cases of binding_worker.py, and what of them is seen from outside."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from serving import Served, Start
from upstream import upstream

WORKER = Path(__file__).with_name("binding_worker.py").read_text("utf-8")
CASES = [name for name in re.findall(r"^async def (\w+)\(env\)", WORKER, re.MULTILINE) if not name.startswith("give")]
CONFIG = 'name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n'
SLOW = "slow: {engine: echo, options: {rate: 10, tokens: 400}}\n"
STREAM = (
    b'data: {"response":"New"}\n\n'
    b'data: {"response":" York"}\n\n'
    b'data: {"response":"","usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n\n'
    b"data: [DONE]\n\n"
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return await start(written(tmp_path_factory.mktemp("binding"), SLOW), "--engine", "echo")


def written(folder: Path, models: str, settings: str = "") -> Path:
    for name, text in {"entry.py": WORKER, "wrangler.toml": CONFIG + settings, "models.yaml": models}.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, http: aiohttp.ClientSession, case: str) -> None:
    async with http.get(f"{pilot.url}/{case}") as response:
        assert (response.status, await response.text()) == (200, "held\n"), await response.text()


@pytest.mark.parametrize("way", ["give_response", "give_stream", "give_iterated"])
async def test_a_stream_reaches_the_client_as_the_model_made_it(
    pilot: Served, http: aiohttp.ClientSession, way: str
) -> None:
    since = len(pilot.events)
    async with http.get(f"{pilot.url}/{way}") as response:
        assert (response.status, await response.read()) == (200, STREAM)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    line = await pilot.event("request", since=since, path=f"/{way}")
    assert (line["tokens"], line["status"]) == (2, 200)


async def test_an_error_nobody_catches(pilot: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{pilot.url}/give_error") as response:
        text = await response.text()
    assert response.status == 500
    assert "AiError: 5007: No such model @cf/none or task" in text
    assert 'await env.AI.run("@cf/none", NEW_YORK)' in text
    assert "bindings/ai" not in text  # none of our frames


@pytest.mark.parametrize("way", ["give_remote", "give_remote_iterated"])
async def test_a_client_that_leaves_ends_it_at_the_upstream_server(
    start: Start, http: aiohttp.ClientSession, tmp_path: Path, way: str
) -> None:
    async with upstream(tokens=2000, pause=0.02) as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        pilot = await start(written(tmp_path, models), "--engine", "echo")
        async with http.get(f"{pilot.url}/{way}") as response:
            assert await response.content.readuntil(b"\n\n") == b'data: {"response":" word"}\n\n'
            assert server.live == 1
            response.close()
        await server.until_live(0)


async def test_a_stream_nobody_wants_ends_with_its_request(
    start: Start, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with upstream(tokens=2000, pause=0.02) as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        pilot = await start(written(tmp_path, models), "--engine", "echo")
        async with http.get(f"{pilot.url}/give_away") as response:
            assert await response.text() == "something else"
        await server.until_live(0)


async def test_the_projects_own_models(start: Start, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Adds one, sends one to an OpenAI-compatible server, and overrides one of Cloudflare's."""
    async with upstream() as server:
        models = """
mine: {engine: echo, default_max_tokens: 2}
remote: {engine: openai, model: acme, default_max_tokens: 77, default_temperature: 0.1}
"@cf/meta/llama-2-7b-chat-int8": {echo: {tokens: 3}}
"""
        env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "key"}
        pilot = await start(written(tmp_path, models), "--engine", "echo", env=env)
        async with http.get(f"{pilot.url}/give_models") as response:
            assert await response.json() == {
                "mine": "a b",
                "remote": " word word word",
                "@cf/meta/llama-2-7b-chat-int8": "a b c",
            }
    [asked] = server.asked
    assert asked["messages"] == [{"role": "user", "content": "a b c d"}]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("acme", 77, 0.1)


async def test_an_edited_models_yaml_counts_from_the_next_request(
    start: Start, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pilot = await start(written(tmp_path, "mine: {engine: echo}\n"), "--engine", "echo")

    async def mine() -> str:
        async with http.get(f"{pilot.url}/give_models") as response:
            return str((await response.json())["mine"])

    assert await mine() == "a b c d"
    (tmp_path / "models.yaml").write_text("mine: {engine: echo, default_max_tokens: 1}\n")
    await pilot.event("reloaded")
    assert await mine() == "a"
    (tmp_path / "models.yaml").write_text("mine: {engine: ekko}\n")
    error = await pilot.event("error")
    assert "models.yaml: mine: engine: unknown engine 'ekko'" in error["text"]
    assert await mine() == "a"  # what worked goes on


async def test_while_a_model_loads_everything_else_answers(
    start: Start, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with upstream(is_open=False) as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}'}}}}\n"
        pilot = await start(written(tmp_path, models), "--engine", "echo")
        waiting = asyncio.create_task(http.get(f"{pilot.url}/give_remote").__aenter__())
        for _ in range(5):
            async with http.get(f"{pilot.url}/messages_and_raw") as response:
                assert await response.text() == "held\n"
        assert not waiting.done()
        server.open.set()
        async with asyncio.timeout(20):
            response = await waiting
            assert (await response.text()).startswith('data: {"response":" word"}\n\n')


async def test_load_timeout(start: Start, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with upstream(is_open=False) as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}'}}}}\n"
        pilot = await start(written(tmp_path, models, "[pilot]\nload_timeout = 2\n"), "--engine", "echo")
        async with http.get(f"{pilot.url}/give_models") as response:
            found = await response.json()
        assert found["remote"] == "3007: openai: acme is still loading after 2 s, please try again."
        server.open.set()
        await pilot.event("progress_done")
        async with http.get(f"{pilot.url}/give_models") as response:
            assert (await response.json())["remote"] == " word word word"
