"""AI Gateways: the cases of gateway_worker.py, the same over REST, and what is on the disk."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from bindings.ai.errors import ModelError
from bindings.ai.gateway.options import (
    HEADER_OPTIONS,
    GatewayOptions,
    Retries,
    gateway_from_headers,
    gateway_settings,
    parse_gateway,
)
from bindings.ai.gateway.rate import RateLimit
from runtime.config import load
from runtime.errors import ConfigError
from serving import Served, serving, write
from upstream import upstream
from wrangler_support import packages

WORKER = Path(__file__).with_name("gateway_worker.py").read_text("utf-8")
CASES = [
    name
    for name in re.findall(r"^async def (\w+)\(env, request\)", WORKER, re.MULTILINE)
    if not name.startswith("give")
]
INT8, BGE = "@cf/meta/llama-2-7b-chat-int8", "@cf/baai/bge-small-en-v1.5"
RUN = f"/client/v4/accounts/a/ai/run/{INT8}"
LOGS = "/client/v4/accounts/a/ai-gateway/gateways"
BEARER = {"Authorization": "Bearer secret-token-of-a-client"}
CONFIG = """
[ai]
binding = "AI"
[pilot]
gateway_cache = "400KB"
gateway_logs = "300KB"
[pilot.gateways.limited]
rate_limiting_limit = 2
rate_limiting_interval = 86400
rate_limiting_technique = "sliding"
[pilot.gateways.quiet]
collect_logs = false
[pilot.gateways.usual]
cache_ttl = 600
"""
MODELS = "slow: {engine: echo, options: {rate: 10, tokens: 400}}\n"

pytestmark = pytest.mark.asyncio(loop_scope="module")
Start = Callable[..., Awaitable[Served]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(folder: Path, models: str = MODELS, config: str = CONFIG) -> Served:
            write(folder, WORKER, config, {"models.yaml": models})
            return await stack.enter_async_context(serving(folder))

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return await start(tmp_path_factory.mktemp("gateway"))


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


async def post(pilot: Served, body: Any, path: str = RUN, **headers: str) -> Answer:
    named = {f"cf-aig-{name.replace('_', '-')}": value for name, value in headers.items()}
    async with pilot.http.post(pilot.url + path, data=json.dumps(body), headers={**BEARER, **named}) as response:
        return Answer(response.status, response.headers, await response.read())


def database(pilot: Served, name: str) -> sqlite3.Connection:
    return sqlite3.connect(pilot.folder / ".pilot" / "state" / f"ai-gateway-{name}.sqlite", timeout=20)


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n")


# REST


async def test_headers_say_what_the_options_do(pilot: Served) -> None:
    asked = {"gateway_id": "rest", "cache_ttl": "60", "metadata": '{"team":"a"}', "event_id": "e-1"}
    first = await post(pilot, {"prompt": "by headers"}, **asked)
    again = await post(pilot, {"prompt": "by headers"}, **asked)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (first.headers["cf-aig-cache-status"], again.headers["cf-aig-cache-status"]) == ("MISS", "HIT")
    assert first.headers["cf-ai-req-id"] != again.headers["cf-ai-req-id"]
    assert (again.headers["cf-aig-step"], again.headers["cf-aig-event-id"]) == ("0", "e-1")
    skipped = await post(pilot, {"prompt": "by headers"}, **asked, skip_cache="true")
    assert "cf-aig-cache-status" not in skipped.headers
    path = f"{LOGS}/rest/logs/{again.headers['cf-aig-log-id']}"
    status, text = await pilot.ask(path, headers=BEARER)
    log = json.loads(text)["result"]
    assert (status, log["cached"], log["metadata"], log["tokens_out"]) == (200, True, {"team": "a"}, 2)
    changed = await pilot.ask(path, "PATCH", headers=BEARER, data='{"feedback": -1}')
    assert changed == (200, '{"result":{},"success":true,"errors":[],"messages":[]}')
    assert json.loads((await pilot.ask(path, headers=BEARER))[1])["result"]["feedback"] == -1
    status, text = await pilot.ask(f"{LOGS}/rest/logs/none", headers=BEARER)
    assert (status, json.loads(text)["success"]) == (404, False)


async def test_without_a_gateway_nothing_of_one_is_in_the_answer(pilot: Served) -> None:
    answer = await post(pilot, {"prompt": "plain"})
    assert not [name for name in answer.headers if name.lower().startswith("cf-aig")]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("cache_ttl", "soon"),
        ("cache_ttl", "5"),
        ("skip_cache", "maybe"),
        ("metadata", "{"),
        ("metadata", "[1]"),
        ("max_attempts", "6"),
        ("retry_delay", "-1"),
        ("backoff", "never"),
        ("request_timeout", "nan"),
        ("gateway_id", "../etc"),
        ("metadata", '{"a":{}}'),
    ],
)
async def test_a_header_that_cannot_be_meant(pilot: Served, header: str, value: str) -> None:
    answer = await post(pilot, {"prompt": "a"}, **{header: value})
    [error] = json.loads(answer.body)["errors"]
    assert (answer.status, error["code"]) == (400, 5006)
    assert "options.gateway" in error["message"]


async def test_a_rate_limit_over_rest(pilot: Served) -> None:
    for _ in range(3):
        answer = await post(pilot, {"prompt": "a"}, gateway_id="limited")
    assert answer.status == 429
    assert answer.body == (
        b'{"errors":[{"message":"Rate limited","code":2003}],"success":false,"result":{},"messages":[]}'
    )
    assert answer.headers["cf-aig-log-id"]


async def test_the_openai_routes_pass_gateways_too(pilot: Served) -> None:
    path, body = (
        "/client/v4/accounts/a/ai/v1/chat/completions",
        {"model": INT8, "messages": [{"role": "user", "content": "hello there"}], "stream": True},
    )
    first, again = [await post(pilot, body, path, gateway_id="usual") for _ in range(2)]
    assert (first.status, again.headers["cf-aig-cache-status"]) == (200, "HIT"), first.body
    assert first.body == again.body
    assert first.body.endswith(b"data: [DONE]\n\n")
    native = await post(pilot, {k: v for k, v in body.items() if k != "model"}, gateway_id="usual")
    assert native.headers["cf-aig-cache-status"] == "MISS"
    assert native.body.startswith(b'data: {"response":')


async def test_workers_ai_at_a_gateways_own_address(pilot: Served) -> None:
    base = f"{LOGS}/usual/workers-ai"
    for path in (f"{base}/{INT8}", f"{base}/run/{INT8}", f"{base}/run/{INT8.replace('/', '%2F')}"):
        answer = await post(pilot, {"prompt": "at its address"}, path)
        assert json.loads(answer.body)["result"]["response"] == "at its address", answer.body
    assert answer.headers["cf-aig-cache-status"] == "HIT"
    chat = {"model": INT8, "messages": [{"role": "user", "content": "hi"}]}
    answer = await post(pilot, chat, f"{base}/v1/chat/completions")
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "hi"
    assert (await post(pilot, chat, f"{base}/v1/none")).status == 404
    for path in (f"{LOGS}/usual/compat/chat/completions", "/v1/account/usual/compat/chat/completions"):
        answer = await post(pilot, {**chat, "model": f"workers-ai/{INT8}"}, path)
        assert answer.headers["cf-aig-cache-status"] == "HIT"
    models = f"{pilot.url}{LOGS}/usual/compat/models"
    async with pilot.http.get(models, headers={"authorization": "Bearer x"}) as listed:
        assert f"workers-ai/{INT8}" in [row["id"] for row in (await listed.json())["data"]]
    answer = await post(pilot, {**chat, "model": "openai/gpt"}, path)
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (400, 5006)
    answer = await post(pilot, {"prompt": "at its address"}, f"/v1/account/usual/workers-ai/{INT8}")
    assert answer.headers["cf-aig-cache-status"] == "HIT"


@pytest.mark.parametrize("path", ["/v1/0123456789abcdef/usual", "/v1/a/usual/", f"{LOGS}/usual", f"{LOGS}/usual/"])
async def test_the_universal_endpoint(pilot: Served, path: str) -> None:
    """Its key may be the first step's own; which step answered is told."""

    async def ask(steps: Any) -> tuple[int, str, Any]:
        async with pilot.http.post(pilot.url + path, data=json.dumps(steps)) as response:
            text = await response.text()
            found = text if "event-stream" in response.headers["content-type"] else json.loads(text)
            return response.status, response.headers.get("cf-aig-step", ""), found

    native = {"provider": "workers-ai", "endpoint": INT8, "headers": BEARER, "query": {"prompt": "a universal b"}}
    said = {"model": f"workers-ai/{INT8}", "messages": [{"role": "user", "content": "hi there"}]}
    compat = {"provider": "compat", "endpoint": "chat/completions", "query": said}
    other = {**compat, "provider": "openai"}
    status, step, found = await ask([native])
    assert (status, step, found["success"], found["result"]["response"]) == (200, "0", True, "a universal b")
    status, step, found = await ask([other, {**native, "endpoint": "@cf/none"}, compat, native])
    assert (status, step, found["choices"][0]["message"]["content"]) == (200, "2", "hi there")
    status, step, found = await ask([{**compat, "query": {**said, "stream": True}}])
    assert (status, step, found.count("chat.completion.chunk") > 2) == (200, "0", True)
    inner = {"provider": "workers-ai", "endpoint": "v1/embeddings", "query": {"model": BGE, "input": "a"}}
    status, step, found = await ask(inner)
    assert (status, len(found["data"][0]["embedding"])) == (200, 384)
    status, step, found = await ask([other, {**compat, "endpoint": "images"}])
    assert (status, step, found["success"], found["errors"][0]["code"]) == (400, "1", False, 5006)
    assert (await ask([]))[2]["errors"][0]["code"] == 5006
    status, _, found = await ask({"model": INT8})
    assert (status, found["error"]["code"]) == (404, "unknown_url")


NPM = """
import { createAiGateway } from "ai-gateway-provider";
import { createUnified } from "ai-gateway-provider/providers/unified";
import { generateText, streamText } from "ai";
const [url, ...ids] = process.argv.slice(2), send = fetch;  // the package knows one address, Cloudflare's
globalThis.fetch = (to, init) => send(String(to).replace("https://gateway.ai.cloudflare.com", url), init);
const options = { accountId: "0123456789abcdef", gateway: "npm", apiKey: "k", options: { metadata: { team: "a" } } };
const gateway = createAiGateway(options), model = gateway(ids.map(createUnified())), maxRetries = 0;
const { text, response } = await generateText({ model, maxRetries, prompt: "Hello New York" });
const stream = streamText({ model, maxRetries, prompt: "Hello again" });
console.log(JSON.stringify([text, response.headers["cf-aig-step"], await stream.text, await stream.finishReason]));
"""


@pytest.mark.timeout(400)
async def test_the_provider_of_the_ai_sdk(pilot: Served) -> None:
    wanted = ("ai-gateway-provider@4.0.1", "ai@7", "@ai-sdk/openai-compatible@3", "zod", "--omit=optional")
    folder, node = packages("ai-gateway-provider-4", (22, 0), *wanted)
    script = folder / "universal.mjs"
    script.write_text(NPM)
    process = await asyncio.create_subprocess_exec(
        node, str(script), pilot.url, "openai/gpt-5", f"workers-ai/{INT8}", stdout=-1, stderr=-1
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert json.loads(output) == ["Hello New York", "1", "Hello again", "stop"]


async def test_numbers_beyond_64_bits(pilot: Served) -> None:
    body = {"prompt": "a", "user": 10**30, "metadata": {"a": -(2**70)}}
    for status in ("MISS", "HIT"):
        answer = await post(pilot, body, gateway_id="big", cache_ttl="60")
        assert (answer.status, answer.headers["cf-aig-cache-status"]) == (200, status), answer.body


# Retries


async def test_retries(start: Start, tmp_path: Path) -> None:
    async with upstream() as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        pilot = await start(tmp_path, models)

        async def ask(refusals: list[int], **retries: Any) -> dict[str, Any]:
            server.refusals[:] = refusals
            body = json.dumps({"retries": {"retryDelayMs": 1, **retries}})
            found: dict[str, Any] = json.loads((await pilot.ask("/give_attempts", "POST", data=body))[1])
            return found

        assert (await ask([503, 429], maxAttempts=3, backoff="exponential"))["response"] == " word word word"
        assert len(server.asked) == 3
        assert "error" in await ask([503, 503], maxAttempts=2, backoff="linear")
        assert len(server.asked) == 5
        assert "error" in await ask([503])  # one attempt unless more are asked for
        assert len(server.asked) == 6
        server.refusals[:] = []


@pytest.mark.parametrize("caching", [{}, {"cf-aig-cache-ttl": "60"}])
async def test_a_client_that_leaves_ends_it_at_the_upstream_server(
    start: Start, tmp_path: Path, caching: dict[str, str]
) -> None:
    async with upstream(tokens=2000, pause=0.02) as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        pilot = await start(tmp_path, models)
        body = json.dumps({"prompt": "a", "stream": True})
        headers = {**BEARER, "cf-aig-gateway-id": "g", **caching}
        url = f"{pilot.url}/client/v4/accounts/a/ai/run/remote"
        async with pilot.http.post(url, data=body, headers=headers) as response:
            assert await response.content.readuntil(b"\n\n") == b'data: {"response":" word"}\n\n'
            assert server.live == 1
            response.close()
        await server.until_live(0)


async def test_the_pauses_between_attempts() -> None:
    for backoff, pauses in {"constant": [2, 2, 2], "linear": [2, 4, 6], "exponential": [2, 4, 8]}.items():
        retries = Retries(max_attempts=4, retry_delay_ms=2000, backoff=backoff)  # type: ignore[arg-type]
        assert [retries.delay(attempt) for attempt in (1, 2, 3)] == pauses


async def test_windows_of_a_rate_limit() -> None:
    fixed, sliding = RateLimit(2, 10, sliding=False), RateLimit(2, 10, sliding=True)
    moments = [0, 9, 9.5, 10, 11, 18, 19.5]
    assert [fixed.admits(now) for now in moments] == [True, True, False, True, True, False, False]
    assert [sliding.admits(now) for now in moments] == [True, True, False, True, False, False, True]


# On the disk


async def test_an_answer_is_too_old_one_day(pilot: Served) -> None:
    body, asked = {"prompt": "of its time"}, {"gateway_id": "old", "cache_ttl": "60"}
    answers = [await post(pilot, body, **asked) for _ in range(2)]
    with closing(database(pilot, "cache")) as file, file:
        [[first, last]] = file.execute("SELECT min(expires), max(expires) FROM answer").fetchall()
        assert time.time() < first <= last < time.time() + 3601
        file.execute("UPDATE answer SET expires = ?", (time.time() - 1,))
    answers.append(await post(pilot, body, **asked))
    assert [answer.headers["cf-aig-cache-status"] for answer in answers] == ["MISS", "HIT", "MISS"]


async def test_no_credentials_are_kept(pilot: Served) -> None:
    asked = {"gateway_id": "secret", "cache_ttl": "60", "authorization": "Bearer another-secret"}
    answer = await post(pilot, {"prompt": "hush"}, **asked)
    await pilot.ask(f"{LOGS}/secret/logs/{answer.headers['cf-aig-log-id']}", headers=BEARER)  # so it is written
    for file in (pilot.folder / ".pilot" / "state").iterdir():
        assert b"secret-token-of-a-client" not in file.read_bytes()
        assert b"another-secret" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


async def test_the_disk_they_take_is_bounded(pilot: Served) -> None:
    words = " ".join(f"word{n}" for n in range(1500))
    for number in range(120):
        answer = await post(pilot, {"prompt": f"{number} {words}", "max_tokens": 1500}, gateway_id="b", cache_ttl="60")
        assert answer.status == 200
    last = await post(pilot, {"prompt": f"{number} {words}", "max_tokens": 1500}, gateway_id="b", cache_ttl="60")
    assert last.headers["cf-aig-cache-status"] == "HIT"  # the youngest stay
    await pilot.ask(f"{LOGS}/b/logs/{last.headers['cf-aig-log-id']}", headers=BEARER)
    for name, table, limit in (("cache", "answer", 400_000), ("logs", "log", 300_000)):
        with closing(database(pilot, name)) as file:
            [kept], [size] = [
                file.execute(f"SELECT {what} FROM {table}").fetchone() for what in ("count(*)", "sum(length(content))")
            ]
            pages = file.execute("PRAGMA page_count").fetchone()[0] * 4096
        assert 0 < kept < 120
        assert 0 < size <= limit
        assert pages <= 1.2 * limit


async def test_a_broken_disk_costs_the_cache_and_the_logs_only(start: Start, tmp_path: Path) -> None:
    state = tmp_path / ".pilot" / "state"
    state.mkdir(parents=True)
    for name in ("cache", "logs"):
        (state / f"ai-gateway-{name}.sqlite").write_bytes(b"this is no database" * 1000)
    pilot = await start(tmp_path)
    for _ in range(2):
        answer = await post(pilot, {"prompt": "a"}, gateway_id="g", cache_ttl="60")
        assert (answer.status, answer.headers["cf-aig-cache-status"]) == (200, "MISS")
    await pilot.says("AI Gateway goes on without its cache or logs: ai-gateway-logs.sqlite")
    status, text = await pilot.ask(f"{LOGS}/g/logs/{answer.headers['cf-aig-log-id']}", headers=BEARER)
    assert (status, json.loads(text)["success"]) == (500, False)


async def test_a_newer_releases_file_is_left_alone(start: Start, tmp_path: Path) -> None:
    state = tmp_path / ".pilot" / "state"
    state.mkdir(parents=True)
    with closing(sqlite3.connect(state / "ai-gateway-cache.sqlite")) as file, file:
        file.execute("PRAGMA user_version=99")
    pilot = await start(tmp_path)
    assert (await post(pilot, {"prompt": "a"}, cache_ttl="60")).status == 200
    await pilot.says("ai-gateway-cache.sqlite: written by a newer release")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[pilot.gateways.g]\ncache_ttl = 5", "wrangler.toml: pilot.gateways.g: Expected `int` >= 60"),
        ("[pilot.gateways.g]\nlimit = 5", "unknown field `limit`"),
        ("[pilot.gateways.'a b']", "pilot.gateways.a b"),
        ("[pilot]\ngateway_cache = 'much'", "'much' is not a size"),
    ],
)
async def test_settings_that_cannot_be_meant(tmp_path: Path, table: str, words: str) -> None:
    write(tmp_path, WORKER, f'[ai]\nbinding = "AI"\n{table}\n')
    with pytest.raises(ConfigError) as caught:
        gateway_settings(load(tmp_path / "wrangler.toml"))
    assert words in str(caught.value)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), nested, max_leaves=5)
FIELDS = st.sampled_from([*GatewayOptions.__struct_encode_fields__, "unknown"])
HEADERS = st.sampled_from([*HEADER_OPTIONS, b"cf-aig-authorization", b"cf-aig-unknown"])


@tried(deadline=None, database=None)
@given(JSON | st.dictionaries(FIELDS, JSON), st.dictionaries(HEADERS, st.binary(max_size=40)))
async def test_any_options_and_headers_are_taken_or_refused(value: Any, headers: dict[bytes, bytes]) -> None:
    with suppress(ModelError):
        assert re.fullmatch("[A-Za-z0-9_-]+", parse_gateway(value).id)
    with suppress(ModelError):
        gateway = gateway_from_headers(headers.items())
        assert (gateway is None) == (not headers)
        if gateway is not None:
            parse_gateway(gateway)
