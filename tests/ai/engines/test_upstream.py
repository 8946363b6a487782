"""What other people's servers say to the ``openai`` engine, to the byte, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from serving import Served, serving, write
from upstream import Said, Upstream, upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def delta(reason: str | None = None, **piece: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": piece, "finish_reason": reason}])


def called(*pieces: dict[str, Any]) -> bytes:
    return delta(tool_calls=list(pieces))


def call(arguments: Any, name: str = "w", **more: Any) -> dict[str, Any]:
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


JSON = "application/json"
FIRST, SECOND = call('{"a":1}', id="c1", index=0), call('{"a":2}', id="c2", index=0)
REST = called({"index": 0, "function": {"arguments": "1}"}})
HELLO = delta(content="Hello")
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"
END = delta("stop") + USAGE + DONE
CALLED = delta("tool_calls") + USAGE + DONE
FULL = HELLO + END
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

TEXTS: dict[str, tuple[bytes, str]] = {  # an answer's name → what the server says, and its text
    "as it should be": (FULL, "Hello"),
    "no space": (FULL.replace(b"data: ", b"data:"), "Hello"),
    "an empty event": (HELLO + b"data:\n\n" + END, "Hello"),
    "choices null": (FULL.replace(b"[], ", b"null, "), "Hello"),
    "null data": (HELLO + b"data: null\n\n" + END, "Hello"),
    "CR LF": (FULL.replace(b"\n", b"\r\n"), "Hello"),
    "CR": (FULL.replace(b"\n", b"\r"), "Hello"),
    "a BOM": (b"\xef\xbb\xbf" + FULL, "Hello"),
    "comments": (b": OPENROUTER PROCESSING\n\n:\n\n" + HELLO + b":keep-alive\n" + END, "Hello"),
    "names, ids, retry": (b"retry: 10\nid: 1\nevent: message\n" + FULL + b"event: ping\ndata: {}\n\n", "Hello"),
    "data in lines": (HELLO.replace(b", ", b",\ndata: ") + END, "Hello"),
    "no blank lines": (FULL.replace(b"\n\n", b"\n"), "Hello"),
    "no last blank line": (HELLO + delta("stop").rstrip(), "Hello"),
    "no DONE": (HELLO + delta("stop") + USAGE, "Hello"),
    "no reason": (HELLO + USAGE + DONE, "Hello"),
    "reason with the text": (HELLO + delta("stop", content=" you") + USAGE + DONE, "Hello you"),
    "no index": (FULL.replace(b'"index": 0, ', b""), "Hello"),
    "index null": (FULL.replace(b'"index": 0', b'"index": null'), "Hello"),
    "delta null": (HELLO + event(choices=[{"index": 0, "delta": None, "finish_reason": "stop"}]) + USAGE, "Hello"),
    "content null": (delta(role="assistant", content=None) + FULL, "Hello"),
    "parts": (delta(content=[{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]) + END, "Hello"),
    "other characters": (delta(content="Grüße 🙂👍🏽") + END, "Grüße 🙂👍🏽"),
    "usage everywhere": (HELLO.replace(b"]}", b'], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}') + END,
                         "Hello"),
    "usage twice": (HELLO + delta("stop") + USAGE + USAGE.replace(b"3", b"0").replace(b"2", b"null") + DONE, "Hello"),
    "a name of its own": (delta("eos", content="Hello") + USAGE + DONE, "Hello"),
    "refused politely": (delta(refusal="I cannot.") + END, "I cannot."),
    "after the end": (FULL + b"data: {nonsense\n\n", "Hello"),
    "an error after the end": (HELLO + delta("stop") + USAGE + b'data: {"error": "late"}\n\n', "Hello"),
}  # fmt: skip
CALLS: dict[str, tuple[bytes, list[str]]] = {  # what the server says, and the arguments of each call
    "call as it should be": (called(call('{"a":', id="c1", index=0)) + REST + CALLED, ['{"a":1}']),
    "call no index": (called(call('{"a":1}', id="c1")) + called(call('{"a":2}', id="c2")) + CALLED,
                      ['{"a":1}', '{"a":2}']),
    "call no index, in pieces": (called(call('{"a":', id="c1")) + called({"function": {"arguments": "1}"}}) + CALLED,
                                 ['{"a":1}']),
    "call no index, no id": (called(call('{"a":1}'), call('{"a":2}')) + CALLED, ['{"a":1}', '{"a":2}']),
    "call one index for all": (called(FIRST) + called(SECOND) + CALLED,
                               ['{"a":1}', '{"a":2}']),
    "call index from one": (called(call('{"a":1}', id="c1", index=1)) + CALLED, ['{"a":1}']),
    "call object": (called(call({"a": 1}, id="c1", index=0)) + CALLED, ['{"a":1}']),
    "call null": (called(call(None, id="c1", index=0)) + CALLED, [""]),
    "call repeats": (called(call("", id="c1", index=0)) + called(call('{"a":', id="c1", index=0))
                     + called(call("1}", id="c1", index=0)) + CALLED, ['{"a":1}']),
    "call repeats, no index": (called(call("", id="c1")) + called(call('{"a":', id="c1")) + called(call("1}", id="c1"))
                               + CALLED, ['{"a":1}']),
    "call no id": (called(call('{"a":1}', index=0)) + CALLED, ['{"a":1}']),
    "call late name": (called({"index": 0, "id": "c1"}) + called(call("{}", index=0)) + CALLED, ["{}"]),
    "call flat": (called({"id": "c1", "name": "w", "arguments": {"a": 1}}) + CALLED, ['{"a":1}']),
    "call of old": (delta(function_call={"name": "w", "arguments": '{"a":'}) + delta(function_call={"arguments": "1}"})
                    + delta("function_call") + USAGE + DONE, ['{"a":1}']),
    "call and stop": (called(FIRST) + END, ['{"a":1}']),
}  # fmt: skip
ERRORS: dict[str, tuple[Said, int, int, str]] = {  # what the server says, and our status, code and words
    "event: error": (Said([HELLO + b'event: error\ndata: {"object":"error","message":"CUDA out of memory",'
                           b'"code":500}\n\n' + DONE]), 500, 3043, "CUDA out of memory"),
    "event: error, in words": (Said([b"event: error\ndata: no such luck\n\n"]), 500, 3043, "no such luck"),
    "an error": (Said([HELLO + event(error={"message": "too long", "type": "invalid_request_error"})]),
                 400, 8007, "too long"),
    "a code in words": (Said([event(error={"message": "slower", "code": "rate_limit_exceeded"})]), 429, 3040, "slower"),
    "a reason": (Said([HELLO + delta("error") + DONE]), 500, 3043, "with an error"),
    "an error in 200": (Said([b'{"error": "model is gone"}'], kind=JSON), 500, 3043, "model is gone"),
    "something else in 200": (Said([b'{"detail": "log in"}'], kind=JSON), 500, 3043, "log in"),
    "a page in 200": (Said([b"<!doctype html><title>x</title><p>Sign &amp; in"], kind="text/html"),
                      500, 3043, "Sign & in"),
    "words in 200": (Said([b"no healthy upstream"], kind="text/plain"), 500, 3043, "no healthy upstream"),
    "nothing": (Said([]), 500, 3043, "ended the stream before"),
    "only DONE": (Said([DONE]), 500, 3043, "ended the stream before"),
    "no end": (Said([HELLO]), 500, 3043, "ended the stream before"),
    "cut": (Said([HELLO], cut=True), 500, 3043, "http://127.0.0.1"),
    "OpenAI's": (Said([b'{"error": {"message": "bad top_p", "type": "invalid_request_error"}}'], 400, JSON),
                 400, 8007, "bad top_p"),
    "FastAPI's": (Said([b'{"detail": [{"loc": ["body", "top_p"], "msg": "too big"}]}'], 422, JSON),
                  400, 8007, "body.top_p: too big"),
    "FastAPI's, short": (Said([b'{"detail": "Not Found"}'], 404, JSON), 400, 5007, "Not Found"),
    "Ollama's": (Said([b'{"error": "model \\"m\\" not found, try pulling it first"}'], 404, JSON),
                 400, 5007, 'model "m" not found, try pulling it first'),
    "Google's": (Said([b'[{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]'], 400, JSON),
                 400, 8007, "no"),
    "a proxy's": (Said([b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"], 502,
                       "text/html"), 500, 3043, "Bad Gateway"),
    "no words": (Said([], 500, "text/plain"), 500, 3043, "HTTP 500"),
    "busy": (Said([b'{"error": {"message": "You exceeded your quota"}}'], 429, JSON), 429, 3040,
             "Capacity temporarily exceeded, please try again. (http://127.0.0.1"),
    "the key": (Said([b'{"error": {"message": "wrong key sk-hidden"}}'], 401, JSON),
                500, 3043, "refuses the key"),
    "moved": (Said([], 302, headers={"location": "/elsewhere"}), 500, 3043, "/elsewhere: correct base_url"),
    "silent": (Said([HELLO], hang=True), 408, 3007, "was silent for 2 s"),
}  # fmt: skip
FINISHED = {
    "stays open": Said([FULL], hang=True),
    "stays open without DONE": Said([HELLO + delta("stop")], hang=True),
    "cut after its reason": Said([HELLO + delta("stop") + USAGE], cut=True),
    "a whole answer": Said(
        [
            json.dumps(
                {
                    "object": "chat.completion",
                    "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
                    ],
                    "usage": COUNTS,
                }
            ).encode()
        ],
        kind=JSON,
    ),
    "through 307": Said([], 307, headers={"location": "/v1/again"}),
}


def pieces(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def scripts() -> dict[str, Any]:
    found: dict[str, Any] = dict(FINISHED)
    found |= {name: Said([text]) for name, (text, _) in [*TEXTS.items(), *CALLS.items()]}
    found |= {f"cut up: {name}": Said(pieces(text, 7)) for name, (text, _) in TEXTS.items()}
    found |= {name: said for name, (said, *_) in ERRORS.items()}
    return found


class Newer:
    """A model that refuses what it was asked in an older way."""

    def __init__(self, refused: str, words: str) -> None:
        self.refused, self.words = refused, words

    def __call__(self, asked: dict[str, Any]) -> Said:
        if self.refused not in asked:
            return Said([FULL])
        return Said([json.dumps({"error": {"message": self.words}}).encode()], 400, JSON)


SIGNATURE = {"google": {"thought_signature": "S"}}
NEWER = {
    "max": Newer("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    "options": Newer("stream_options", "Extra inputs are not permitted: stream_options"),
    "temperature": Newer("temperature", "'temperature' does not support 0.2 with this model."),
}
OTHERS = {
    "sig": Said([called({**FIRST, "extra_content": SIGNATURE}) + CALLED]),
    "filter": Said([HELLO + delta("content_filter") + USAGE + DONE]),
    "thoughts": Said([delta(reasoning="Hm") + delta(reasoning_content=".") + FULL]),
    "Mistral's thoughts": Said([delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                                               {"type": "text", "text": "Hello"}]) + END]),
    "uncounted": Said([HELLO + delta(content=" you") + delta("stop") + DONE]),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Upstream]:
    async with upstream() as server:
        server.says = {**scripts(), **NEWER, **OTHERS}
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("upstream")
    options = {"base_url": server.url, "api_key": "k", "timeout_s": 2}
    rows = {
        name: {"task": "Text Generation", "engine": "openai", "openai": {**options, "model": name}}
        for name in [*NEWER, "any"]
    }
    rows["limited"] = {**rows["any"], "default_max_tokens": 7}
    rows["nobody"] = {**rows["any"], "openai": {**options, "base_url": "http://u:s3cret@127.0.0.1:9/v1"}}
    files = {"models.yaml": json.dumps(rows)}
    write(folder, "async def fetch(request, env, ctx): ...", '[ai]\nbinding = "AI"\n', files)
    async with serving(folder) as pilot:
        yield pilot


async def run(pilot: Served, said: str = "hi", model: str = "any", **inputs: Any) -> tuple[int, Any]:
    """By Workers AI's own route; ``said`` is the key of what the server will answer."""
    body = json.dumps({"prompt": said, **inputs})
    path = f"/client/v4/accounts/a/ai/run/{model}"
    status, text = await pilot.ask(path, "POST", data=body, headers={"authorization": "Bearer x"})
    return status, text if inputs.get("stream") else json.loads(text)


async def chat(pilot: Served, said: str = "hi", model: str = "any", **inputs: Any) -> tuple[int, Any]:
    """By OpenAI's route."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": said}], **inputs})
    status, text = await pilot.ask("/v1/chat/completions", "POST", data=body, headers={"authorization": "Bearer x"})
    return status, text if inputs.get("stream") else json.loads(text)


def cut_up(names: Iterable[str]) -> list[str]:
    return [*names, *(f"cut up: {name}" for name in names)]


@pytest.mark.parametrize("name", cut_up(TEXTS))
async def test_the_answer_arrives(pilot: Served, name: str) -> None:
    status, body = await run(pilot, name)
    assert (status, body["result"]["response"]) == (200, TEXTS[name.removeprefix("cut up: ")][1]), body
    if b"usage" in TEXTS[name.removeprefix("cut up: ")][0]:
        assert body["result"]["usage"] == COUNTS


@pytest.mark.parametrize("name", FINISHED)
async def test_a_finished_answer_is_not_lost(pilot: Served, name: str) -> None:
    status, body = await chat(pilot, name)
    assert status == 200, body
    [choice] = body["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")


@pytest.mark.parametrize("name", CALLS)
async def test_tool_calls(pilot: Served, name: str) -> None:
    status, body = await chat(pilot, name)
    [choice] = body["choices"]
    calls, wanted = choice["message"]["tool_calls"], CALLS[name][1]
    assert (status, [call["function"]["arguments"] for call in calls]) == (200, wanted)
    assert {call["function"]["name"] for call in calls} == {"w"}
    assert len({call["id"] for call in calls} - {""}) == len(wanted)
    assert choice["finish_reason"] == "tool_calls"
    _, text = await chat(pilot, name, stream=True)
    pieces = [
        piece
        for line in text.split("\n")
        if "tool_calls" in line and '"delta"' in line
        for piece in json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert {piece["index"] for piece in pieces} == set(range(len(wanted)))
    assert len([piece for piece in pieces if "id" in piece]) == len(wanted), "each id is said once"


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_arrives_in_its_own_words(pilot: Served, name: str) -> None:
    _, *wanted, words = ERRORS[name]
    status, body = await run(pilot, name)
    [error] = body["errors"]
    assert [status, error["code"]] == wanted, body
    assert words in error["message"]
    assert "sk-hidden" not in error["message"]


async def test_nobody_there(pilot: Served) -> None:
    status, body = await run(pilot, model="nobody")
    text = body["errors"][0]["message"]
    assert (status, "http://127.0.0.1:9/v1" in text, "s3cret" in text) == (500, True, False), text
    assert "base_url in models.yaml" in text


async def test_what_else_a_call_has_is_kept(pilot: Served, server: Upstream) -> None:
    _, body = await chat(pilot, "sig")
    [call] = body["choices"][0]["message"]["tool_calls"]
    assert call["extra_content"] == SIGNATURE
    assert "extra_content" in (await chat(pilot, "sig", stream=True))[1]
    _, native = await run(pilot, "sig")
    [flat] = native["result"]["tool_calls"]
    assert flat == {"name": "w", "arguments": {"a": 1}, "extra_content": SIGNATURE}
    for again in (call, flat):
        history = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [again]},
            {"role": "tool", "content": "1", "tool_call_id": "c1"},
        ]
        assert (await chat(pilot, messages=history))[0] == 200
        [sent] = server.asked[-1]["messages"][1]["tool_calls"]
        assert sent["extra_content"] == SIGNATURE
        assert sent["function"] == {"name": "w", "arguments": '{"a":1}'}


async def test_a_filter_is_told(pilot: Served) -> None:
    _, body = await chat(pilot, "filter")
    assert body["choices"][0]["finish_reason"] == "content_filter"
    assert '"finish_reason":"content_filter"' in (await chat(pilot, "filter", stream=True))[1]
    _, native = await run(pilot, "filter")
    assert (native["result"]["response"], native["result"]["finish_reason"]) == ("Hello", "content_filter")
    assert '{"finish_reason":"content_filter"' in (await run(pilot, "filter", stream=True))[1]
    _, text = await pilot.ask(
        "/v1/responses",
        "POST",
        data=json.dumps({"model": "any", "input": "filter"}),
        headers={"authorization": "Bearer x"},
    )
    answer = json.loads(text)
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


@pytest.mark.parametrize("name", ["thoughts", "Mistral's thoughts"])
async def test_thoughts_are_none_of_the_text(pilot: Served, name: str) -> None:
    _, body = await chat(pilot, name)
    message = body["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Hello")


async def test_pieces_are_counted_where_the_server_does_not(pilot: Served) -> None:
    assert (await run(pilot, "uncounted"))[1]["result"]["usage"]["completion_tokens"] == 2


ASKED: list[tuple[str, Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
    ("any", run, {}, {}),
    ("any", chat, {}, {}),
    ("any", run, {"max_tokens": 9, "temperature": 0}, {"max_tokens": 9, "temperature": 0}),
    ("any", chat, {"max_completion_tokens": 9}, {"max_tokens": 9}),
    ("limited", run, {}, {"max_tokens": 7}),
    ("max", run, {"max_tokens": 9}, {"max_completion_tokens": 9}),
]


@pytest.mark.parametrize(("model", "ask", "inputs", "sent"), ASKED)
async def test_only_what_was_asked_for_is_sent(
    pilot: Served, server: Upstream, model: str, ask: Any, inputs: dict[str, Any], sent: dict[str, Any]
) -> None:
    status, body = await ask(pilot, model=model, **inputs)
    assert status == 200, body
    asked = server.asked[-1]
    assert {name: asked[name] for name in asked if name.startswith(("max_", "temperature"))} == sent


@pytest.mark.parametrize(("model", "inputs"), [("max", {"max_tokens": 9}), ("options", {})])
async def test_what_a_newer_server_refuses_is_said_otherwise_and_remembered(
    pilot: Served, server: Upstream, model: str, inputs: dict[str, Any]
) -> None:
    assert (await run(pilot, model=model, **inputs))[0] == 200
    since = len(server.asked)
    assert (await run(pilot, model=model, **inputs))[0] == 200
    assert len(server.asked) - since == 1


async def test_what_cannot_be_said_otherwise_is_refused(pilot: Served) -> None:
    assert (await run(pilot, model="temperature"))[0] == 200
    status, body = await run(pilot, model="temperature", temperature=0.2)
    assert (status, body["errors"][0]["code"]) == (400, 8007)
    assert "does not support 0.2" in body["errors"][0]["message"]


LLAMA, FP16 = "@cf/meta/llama-2-7b-chat-int8", "@cf/meta/llama-2-7b-chat-fp16"


@pytest.mark.asyncio(loop_scope="function")
async def test_an_address_in_the_environment_is_enough_and_is_said_at_start(start_pilot: Any, project: Any) -> None:
    async with upstream() as server:
        server.names = ["tiny"]
        server.says[FP16] = Said([b'{"error": "no such thing"}'], 404, JSON)
        files = {"models.yaml": "here: {llamacpp: {model: ./nowhere.gguf}}"}
        folder = project("async def fetch(request, env, ctx): ...", '[ai]\nbinding = "AI"\n', files)
        address = server.url.replace("//", "//me:s3cret@")
        pilot = await start_pilot(folder, env={"OPENAI_BASE_URL": address, "OPENAI_API_KEY": ""})
        [remark] = (await pilot.event("banner"))["engines"]
        assert server.url in remark
        assert "--engine llamacpp" in remark
        assert server.asked == []
        assert (await posted(pilot, LLAMA))["result"]["response"] == " word word word"
        assert server.asked[-1]["model"] == LLAMA
        [error] = (await posted(pilot, FP16))["errors"]
        assert "no such thing (it has tiny: write  openai: {model: tiny}" in error["message"]
        assert "nowhere.gguf" in (await posted(pilot, "here"))["errors"][0]["message"]
        assert len(server.asked) == 2, "weights that are named here are looked for here"
        assert "s3cret" not in pilot.log()


async def posted(pilot: Any, model: str) -> dict[str, Any]:
    url = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}"
    headers = {"authorization": "Bearer x"}
    async with aiohttp.ClientSession() as http, http.post(url, json={"prompt": "hi"}, headers=headers) as response:
        found: dict[str, Any] = await response.json()
        return found
