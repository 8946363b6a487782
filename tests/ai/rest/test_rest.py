"""The REST routes on a real socket: Workers AI's URL, credentials, envelopes, errors and streams, byte by byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yarl

from serving import Served, Start

INT8 = "@cf/meta/llama-2-7b-chat-int8"
FP16 = "@cf/meta/llama-2-7b-chat-fp16"
ROOT = "/client/v4/accounts/0123456789abcdef/ai/run/"
BEARER = {"Authorization": "Bearer anything"}
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
ANSWER = (
    b'{"result":{"response":"where is new york?","tool_calls":[],'
    b'"usage":{"prompt_tokens":4,"completion_tokens":4,"total_tokens":8}},'
    b'"success":true,"errors":[],"messages":[]}'
)
STREAM = (
    b'data: {"response":"where"}\n\n'
    b'data: {"response":" is"}\n\n'
    b'data: {"response":" new"}\n\n'
    b'data: {"response":" york?"}\n\n'
    b'data: {"response":"","usage":{"prompt_tokens":4,"completion_tokens":4,"total_tokens":8}}\n\n'
    b"data: [DONE]\n\n"
)
PROMPT = {"prompt": "where is new york?"}
HELLO = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
AI = '[ai]\nbinding = "AI"\n'

pytestmark = pytest.mark.asyncio(loop_scope="module")
Project = Callable[..., Path]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """One server for the tests that need nothing special: echo, a body limit, a slow and a busy model."""
    folder = tmp_path_factory.mktemp("rest")
    (folder / "entry.py").write_text(HELLO)
    (folder / "wrangler.toml").write_text(f'name = "w"\nmain = "entry.py"\n{AI}[pilot]\nbody_limit = 200_000\n')
    (folder / "models.yaml").write_text("slow: {engine: echo, options: {rate: 10, tokens: 400}}\n")
    return await start(folder, "--engine", "echo")


class Answer:
    """A whole answer: ``status``, ``headers``, ``body`` bytes."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def error(self) -> dict[str, Any]:
        first: dict[str, Any] = json.loads(self.body)["errors"][0]
        return first


class Client:
    def __init__(self, pilot: Served, session: aiohttp.ClientSession) -> None:
        self.pilot, self.session = pilot, session

    async def run(self, body: Any, model: str = INT8, headers: dict[str, str] = BEARER) -> Answer:
        return await self.ask("POST", ROOT + model, body, headers)

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] = BEARER) -> Answer:
        """``path`` goes out as it stands, encoded or not. A body that is no bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        address = yarl.URL(self.pilot.url + path, encoded=True)
        async with self.session.request(method, address, data=data, headers=headers) as response:
            return Answer(response, await response.read())


@pytest.fixture
def client(pilot: Served, http: aiohttp.ClientSession) -> Client:
    return Client(pilot, http)


async def curl(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--max-time", "20", *words, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


# Answers


async def test_the_announcements_curl(pilot: Served) -> None:
    """Cloudflare's documentation shows these two; only the address differs."""
    url = f"{pilot.url}/client/v4/accounts/<account>/ai/run/{INT8}"
    typed = ("-X", "POST", url, "-H", "Authorization: Bearer <token>")
    typed = tuple(word.replace("<token>", "token") for word in typed)
    assert await curl(*typed, "-d", '{ "prompt": "where is new york?" }') == ANSWER  # posted as a form, says curl
    streamed = await curl(
        *typed, "-H", "Content-Type:application/json", "-d", '{ "prompt": "where is new york?", "stream": true }'
    )
    assert streamed == STREAM


async def test_a_result_in_its_envelope(client: Client) -> None:
    answer = await client.run(PROMPT)
    assert (answer.status, answer.body) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"  # exactly: a charset would make it a stream
    assert re.fullmatch(UUID, answer.headers["cf-ai-req-id"])
    assert float(answer.headers["cf-ai-neurons"]) == 0
    assert answer.headers["cf-ai-stand-in"] == "echo"
    assert answer.headers["content-length"] == str(len(ANSWER))


async def test_a_stream_without_one(client: Client) -> None:
    answer = await client.run({**PROMPT, "stream": True})
    assert (answer.status, answer.body) == (200, STREAM)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert re.fullmatch(UUID, answer.headers["cf-ai-req-id"])
    assert "content-encoding" not in answer.headers


async def test_a_token_leaves_when_it_is_made_and_leaving_frees_the_model(client: Client) -> None:
    address = client.pilot.url + ROOT + "slow"
    body = json.dumps({"prompt": "one two", "stream": True, "max_tokens": 400})
    since = len(client.pilot.events)
    async with client.session.post(address, data=body, headers=BEARER) as response:
        assert await response.content.readuntil(b"\n\n") == b'data: {"response":"one"}\n\n'  # of 40 s in all
        response.close()
    line = await client.pilot.event("request", since=since, within=20, path=ROOT + "slow")
    assert (line["note"], line["status"]) == ("client left", 200)
    assert line["tokens"] < 50


async def test_padding_when_it_is_asked_for(start: Start, http: aiohttp.ClientSession, project: Project) -> None:
    models = "long: {engine: echo, options: {rate: 500}}\n"
    folder = project(HELLO, AI + "[pilot]\npadding = true\n", {"models.yaml": models})
    client = Client(await start(folder), http)
    words = " ".join(map(str, range(200)))
    answer = await client.run({"prompt": words, "stream": True}, "long")
    *events, usage, done, end = answer.body.split(b"\n\n")
    found = [re.fullmatch(rb'data: \{"response":"([ \d]+)"(?:,"p":"([a-z0-9]+)")?\}', event) for event in events]
    assert all(found)
    assert b"".join(match[1] for match in found if match) == words.encode()
    filler = [match[2].decode() for match in found if match and match[2]]
    assert filler  # some events go without
    endless = "abcdefghijklmnopqrstuvwxyz0123456789" * 2
    assert all(endless.startswith(text) and len(text) < 50 for text in filler)
    assert b'"p"' not in usage
    assert (done, end) == (b"data: [DONE]", b"")


# The address


@pytest.mark.parametrize("path", [
    ROOT + INT8,
    ROOT + "@cf%2Fmeta%2Fllama-2-7b-chat-int8",      # as Cloudflare's own clients write it
    ROOT + "%40cf%2fmeta%2fllama-2-7b-chat-int8",
    ROOT + INT8 + "/",
    ROOT + INT8 + "?",
    ROOT + INT8 + "?tags=a&unknown=1",
])  # fmt: skip
async def test_ways_to_write_the_address(client: Client, path: str) -> None:
    answer = await client.ask("POST", path, PROMPT)
    assert (answer.status, answer.body) == (200, ANSWER)


@pytest.mark.parametrize("path", [ROOT.rstrip("/"), ROOT])
async def test_the_model_in_the_body(client: Client, path: str) -> None:
    answer = await client.ask("POST", path, {"model": INT8, "input": PROMPT})
    assert (answer.status, answer.body) == (200, ANSWER)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ],
)
async def test_the_body_is_json_whatever_its_type(client: Client, kind: str | None) -> None:
    answer = await client.run(PROMPT, headers=BEARER | ({"Content-Type": kind} if kind else {}))
    assert (answer.status, answer.body) == (200, ANSWER)


async def test_a_chunked_body(client: Client) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"prompt":"where is'
        yield b' new york?"}'

    async with client.session.post(client.pilot.url + ROOT + INT8, data=parts(), headers=BEARER) as response:
        assert await response.read() == ANSWER


# Credentials: what the layer in front of the models says. No request id, "result" null, code before message.

NO_CREDENTIALS = (400, (
    b'{"success":false,"errors":[{"code":9106,"message":"Missing X-Auth-Key, X-Auth-Email or Authorization '
    b'headers"}],"messages":[],"result":null}'
))  # fmt: skip
MALFORMED = (400, (
    b'{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":'
    b'[{"code":6111,"message":"Invalid format for Authorization header"}]}],"messages":[],"result":null}'
))  # fmt: skip
WRONG_TOKEN = (401, (
    b'{"result":null,"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[]}'
))  # fmt: skip
RIGHT = (200, ANSWER)
PAIR = {"X-Auth-Email": "a@example.com", "X-Auth-Key": "right"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, NO_CREDENTIALS),
        ({"X-Auth-Key": "right"}, NO_CREDENTIALS),
        ({"X-Auth-Email": "a@example.com"}, NO_CREDENTIALS),
        ({"Authorization": ""}, MALFORMED),
        ({"Authorization": "Bearer"}, MALFORMED),
        ({"Authorization": "Basic cmlnaHQ6"}, MALFORMED),
        ({"Authorization": "Bearer two words"}, MALFORMED),
        ({"Authorization": "Bearer anything"}, RIGHT),
        ({"Authorization": "bearer anything"}, RIGHT),
        (PAIR, RIGHT),
    ],
)
async def test_any_token_will_do_but_there_must_be_one(
    client: Client, headers: dict[str, str], expected: tuple[int, bytes]
) -> None:
    answer = await client.run(PROMPT, headers=headers)
    assert (answer.status, answer.body) == expected
    assert ("cf-ai-req-id" in answer.headers) == (expected is RIGHT)
    assert answer.headers["content-type"] == "application/json"


async def test_pilot_api_token_is_the_only_one_then(
    start: Start, http: aiohttp.ClientSession, project: Project
) -> None:
    client = Client(await start(project(HELLO, AI), "--engine", "echo", env={"PILOT_API_TOKEN": "right"}), http)
    cases: list[tuple[dict[str, str], tuple[int, bytes]]] = [
        ({"Authorization": "Bearer right"}, RIGHT), ({"Authorization": "Bearer wrong"}, WRONG_TOKEN),
        ({"Authorization": "Bearer righ"}, WRONG_TOKEN), ({"Authorization": "Bearer r\u00efght"}, WRONG_TOKEN),
        (PAIR, RIGHT), (PAIR | {"X-Auth-Key": "wrong"}, WRONG_TOKEN), ({"X-Auth-User-Service-Key": "right"}, RIGHT),
        ({}, NO_CREDENTIALS), ({"Authorization": "right"}, MALFORMED),
    ]  # fmt: skip
    for headers, expected in cases:
        answer = await client.run(PROMPT, headers=headers)
        assert (answer.status, answer.body) == expected, headers
    lost = await client.ask("GET", "/client/v4/user", headers={"Authorization": "Bearer wrong"})
    assert (lost.status, lost.body) == WRONG_TOKEN


async def test_a_token_in_any_alphabet(start: Start, http: aiohttp.ClientSession, project: Project) -> None:
    token = "clé-voilà"  # its last byte, as latin-1, is a space
    client = Client(await start(project(HELLO, AI), "--engine", "echo", env={"PILOT_API_TOKEN": token}), http)
    for sent, expected in ((token, RIGHT), ("clé-voil", WRONG_TOKEN), ("clé-voil\u00c3", WRONG_TOKEN)):
        answer = await client.run(PROMPT, headers={"Authorization": f"Bearer {sent}"})
        assert (answer.status, answer.body) == expected, sent


# Refusals of the model layer: "result" {}, message before code, the request's id in the message and the header


def refusal(code: int, text: str, request_id: str) -> bytes:
    error = {"message": f"AiError: {text} ({request_id})", "code": code}
    body = {"errors": [error], "success": False, "result": {}, "messages": []}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


BAD = "Bad input: Error: "
NEITHER = BAD + "oneOf at '/' not met, 0 matches: "
TOO_LONG = "exceeded this model context window limit"
WORDS_2048, WORDS_3072 = "word " * 2048, "word " * 3072


@pytest.mark.parametrize(("body", "model", "status", "code", "text"), [
    (PROMPT, "@cf/none/such", 400, 5007, "No such model: No such model @cf/none/such or task"),
    (PROMPT, "gpt-4", 400, 5007, "No such model: No such model gpt-4 or task"),
    ({}, INT8, 400, 5006,
     NEITHER + "required properties at '/' are 'prompt', required properties at '/' are 'messages'"),
    ({"promt": "x"}, INT8, 400, 5006,
     NEITHER + "required properties at '/' are 'prompt': 'promt' is unknown (did you mean 'prompt'?), "
     "required properties at '/' are 'messages'"),
    ({"messages": [{"role": "user", "contnet": "x"}]}, INT8, 400, 5006,
     NEITHER + "required properties at '/messages/0' are 'content': 'contnet' is unknown (did you mean 'content'?)"),
    ({"txt": "x"}, "@cf/baai/bge-small-en-v1.5", 400, 5006,
     NEITHER + "required properties at '/' are 'text': 'txt' is unknown (did you mean 'text'?), "
     "required properties at '/' are 'requests'"),
    (PROMPT, "@cf/openai/gpt-oss-21b", 400, 5007,
     "No such model: No such model @cf/openai/gpt-oss-21b or task: "
     "did you mean '@cf/openai/gpt-oss-20b' or '@cf/openai/gpt-oss-120b'?"),
    ({"prompt": 3}, INT8, 400, 5006, NEITHER + "Type mismatch of '/prompt', 'integer' not in 'string'"),
    ({"prompt": ""}, INT8, 400, 5006, NEITHER + "Length of '/prompt' must be >= 1"),
    ({"prompt": None}, INT8, 400, 5006,
     NEITHER + "required properties at '/' are 'prompt', required properties at '/' are 'messages'"),
    ({"messages": "hi"}, INT8, 400, 5006, NEITHER + "Type mismatch of '/messages', 'string' not in 'array'"),
    ({"messages": [{"role": "user"}]}, INT8, 400, 5006,
     NEITHER + "required properties at '/messages/0' are 'content'"),
    ({**PROMPT, "messages": [{"role": "user", "content": "hi"}]}, INT8, 400, 5006,
     BAD + "oneOf at '/' not met, 2 matches: prompt and messages are mutually exclusive"),
    ({**PROMPT, "stream": "yes"}, INT8, 400, 5006, NEITHER + "Type mismatch of '/stream', 'string' not in 'boolean'"),
    ({**PROMPT, "max_tokens": "9"}, INT8, 400, 5006,
     NEITHER + "Type mismatch of '/max_tokens', 'string' not in 'integer'"),
    ({**PROMPT, "temperature": 5.5}, INT8, 400, 5006, NEITHER + "'/temperature' must be between 0 and 5"),
    ({**PROMPT, "top_p": 1.5}, INT8, 400, 5006, NEITHER + "'/top_p' must be between 0.001 and 1"),
    ({**PROMPT, "top_k": 51}, INT8, 400, 5006, NEITHER + "'/top_k' must be between 1 and 50"),
    ([PROMPT], INT8, 400, 5006, BAD + "Type mismatch of '/', 'array' not in 'object'"),
    (b"prompt=hi", INT8, 400, 5006, BAD + "the body is not valid JSON: JSON is malformed: invalid character (byte 0)"),
    (b'{"prompt":', INT8, 400, 5006, BAD + "the body is not valid JSON: Input data was truncated"),
    (b"", INT8, 400, 3003, "AiError: Request is missing headers or body: body"),
    ({**PROMPT, "options": {"queueRequest": True}}, INT8, 400, 5006, BAD + "required properties at '/' are 'requests'"),
    (PROMPT, INT8 + "?queueRequest=true", 400, 5006, BAD + "required properties at '/' are 'requests'"),
    ({**PROMPT, "lora": "mine"}, INT8, 405, 5005, f"AiError: The model {INT8} does not support LoRa inference"),
    # 2048 in and 1800 out, 3072 in and 2500 out; and together no more than the window
    ({"prompt": WORDS_2048 + "more"}, INT8, 413, 5021,
     f"Ai: The estimated number of input tokens (2049) {TOO_LONG} (2048)."),
    ({**PROMPT, "max_tokens": 1801}, INT8, 413, 5021,
     f"Ai: The estimated number of maximum output tokens (1801) {TOO_LONG} (1800)."),
    ({"prompt": WORDS_3072 + "more"}, FP16, 413, 5021,
     f"Ai: The estimated number of input tokens (3073) {TOO_LONG} (3072)."),
    ({**PROMPT, "max_tokens": 2501, "stream": True}, FP16, 413, 5021,
     f"Ai: The estimated number of maximum output tokens (2501) {TOO_LONG} (2500)."),
    ({"prompt": WORDS_3072, "max_tokens": 1025}, FP16, 413, 5021,
     f"Ai: The estimated number of input and maximum output tokens (4097) {TOO_LONG} (4096)."),
])  # fmt: skip
async def test_refusals(client: Client, body: Any, model: str, status: int, code: int, text: str) -> None:
    answer = await client.run(body, model)
    assert answer.body == refusal(code, text, answer.headers["cf-ai-req-id"])
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert "cf-ai-neurons" not in answer.headers


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"prompt":"\xff"}', b'{"prompt": NaN}', b"\x00"])
async def test_bodies_that_are_no_json(client: Client, body: bytes) -> None:
    answer = await client.run(body)
    assert (answer.status, answer.error["code"]) == (400, 5006)
    assert "the body is not valid JSON" in answer.error["message"]


@pytest.mark.parametrize(
    ("model", "body"),
    [(INT8, {"prompt": WORDS_2048, "max_tokens": 1800}), (FP16, {"prompt": WORDS_3072, "max_tokens": 1024})],
)
async def test_as_much_as_fits(client: Client, model: str, body: dict[str, Any]) -> None:
    assert (await client.run(body, model)).status == 200


async def test_null_is_absent_and_the_unknown_is_tolerated(client: Client) -> None:
    nulls = dict.fromkeys(("messages", "max_tokens", "stop", "stream", "raw", "temperature", "top_p", "lora", "tools"))
    answer = await client.run({**PROMPT, **nulls, "tools": [], "metadata": {"a": 1}, "options": {"rejectIfBusy": True}})
    assert (answer.status, answer.body) == (200, ANSWER)


async def test_the_default_is_256_tokens(client: Client) -> None:
    answer = await client.run({"prompt": "word " * 300})
    assert json.loads(answer.body)["result"]["usage"] == {
        "prompt_tokens": 300,
        "completion_tokens": 256,
        "total_tokens": 556,
    }


@pytest.mark.parametrize("told", [True, False])
async def test_a_body_over_the_limit(client: Client, told: bool) -> None:
    """Told beforehand by content-length, or found out on the way; the connection's next request is served."""

    async def unending() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    body = b" " * 1_000_000 if told else unending()
    async with client.session.post(client.pilot.url + ROOT + INT8, data=body, headers=BEARER) as response:
        content = await response.read()
        assert response.status == 413
    assert content == refusal(3006, "AiError: Request is too large", response.headers["cf-ai-req-id"])
    assert (await client.run(PROMPT)).status == 200


# Routes


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "TRACE", "PROPFIND"])
async def test_only_post_runs(client: Client, method: str) -> None:
    answer = await client.ask(method, ROOT + INT8)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.body == (b"" if method == "HEAD" else (
        b'{"success":false,"errors":[{"code":10405,"message":"Method %b not allowed, use POST"}],'
        b'"messages":[],"result":null}' % method.encode()
    ))  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "TRACE", "OPTIONS", "PROPFIND"])
async def test_no_such_route(client: Client, method: str) -> None:
    answer = await client.ask(method, "/client/v4/accounts/a/no/such?x=1")
    assert (answer.status, answer.body) == (404, (
        b'{"success":false,"errors":[{"code":7003,"message":"Could not route to /client/v4/accounts/a/no/such, '
        b'perhaps your object identifier is invalid?"},{"code":7000,"message":"No route for that URI"}],'
        b'"messages":[],"result":null}'
    ))  # fmt: skip
    assert "cf-ai-req-id" not in answer.headers


async def test_everything_else_is_the_workers(client: Client) -> None:
    for path in ("/", "/client", "/client/v3/x", "/clients/v4"):
        assert (await client.ask("GET", path)).body == b"hello", path


# Engines that are not there


async def test_no_server_behind_the_openai_engine(
    start: Start, http: aiohttp.ClientSession, project: Project, unused_tcp_port: int
) -> None:
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{unused_tcp_port}/v1", "OPENAI_API_KEY": "secret"}
    files = {"models.yaml": "mine: {engine: echo}\n"}
    client = Client(await start(project(HELLO, AI, files), "--engine", "openai", env=env), http)
    for stream in (False, True):
        answer = await client.run({**PROMPT, "stream": stream})
        assert (answer.status, answer.error["code"]) == (500, 3043)
        assert answer.headers["content-type"] == "application/json"
        assert f"127.0.0.1:{unused_tcp_port}" in answer.error["message"]
        assert "OPENAI_BASE_URL" in answer.error["message"]
    assert (await client.run(PROMPT, "mine")).status == 200
    assert (await client.ask("GET", "/")).body == b"hello"
    assert "secret" not in client.pilot.log()


async def test_weights_that_are_not_there(start: Start, http: aiohttp.ClientSession, project: Project) -> None:
    files = {"models.yaml": "gone: {engine: llamacpp, model: ./gone.gguf}\nmine: {engine: echo}\n"}
    client = Client(await start(project(HELLO, AI, files), "--engine", "echo"), http)
    answer = await client.run(PROMPT, "gone")
    assert (answer.status, answer.error["code"]) == (500, 3043)
    assert "gone.gguf" in answer.error["message"]
    assert (await client.run(PROMPT, "mine")).status == 200
