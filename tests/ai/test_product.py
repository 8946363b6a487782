"""``env.AI`` and the product around it, from a configuration to an answer; the wire encodes as between processes."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bindings.ai.binding import AIBinding
from bindings.ai.http.auth import Auth
from bindings.ai.product import WorkersAI
from bindings.ai.rest.run import RunRest
from bindings.ai.worker.ai import AI, AIStream, InferenceUpstreamError, Result
from bindings.ai.worker.ai import AiError as WorkersError
from bindings.base import CallError, HostStream, ProductContext
from runtime.config import Config, load
from runtime.errors import ConfigError
from runtime.web import AbortController, AbortError, Request, Response
from runtime.wire import RemoteError
from service_support import INT8, USAGE, Terminal, echo, read, serve

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


# env.AI


class Handle:
    """What the isolate gets for a ``HostStream``."""

    def __init__(self, stream: HostStream) -> None:
        self._chunks, self.meta = stream.chunks, stream.meta

    def __aiter__(self) -> Handle:
        return self

    async def __anext__(self) -> bytes:
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]


class Wire:
    """The way from the worker's half to the host's, with everything encoded as between processes."""

    def __init__(self, host: AIBinding) -> None:
        self._host = host

    async def call(self, method: str, *args: Any) -> Any:
        args = msgspec.msgpack.decode(msgspec.msgpack.encode(args))
        try:
            answer = await self._host.call(method, args)
        except CallError as error:
            raise RemoteError(error.name, str(error), error.fields) from None
        if isinstance(answer, HostStream):
            return Handle(answer)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))


def env_ai(engine: Any) -> AI:
    return AI("AI", Wire(AIBinding("AI", serve(engine))))


async def test_the_binding_gives_the_bare_result() -> None:
    ai = env_ai(await echo())
    result = await ai.run(INT8, {"messages": ({"role": "user", "content": "New York"},)})
    assert isinstance(result, Result)
    assert result == {"response": "New York", "tool_calls": [], "usage": USAGE}
    assert (result.response, result["usage"].total_tokens, result.to_py()["usage"]) == ("New York", 4, USAGE)
    assert json.loads(json.dumps(result)) == result
    assert type(result.to_py()["usage"]) is dict
    assert re.fullmatch(UUID, ai.last_request_id or "")
    assert ai.lastRequestId == ai.last_request_id
    with pytest.raises(AttributeError, match="it has: response, tool_calls, usage"):
        _ = result.output


async def test_the_binding_gives_a_stream_that_passes_through_unread() -> None:
    stream = await env_ai(await echo()).run(INT8, {"prompt": "hi", "stream": True})
    assert isinstance(stream, AIStream)
    assert stream.meta["headers"]["content-type"] == "text/event-stream"
    assert isinstance(Response(stream).take_body(), Handle)


async def test_the_bindings_stream_can_be_read() -> None:
    stream = await env_ai(await echo()).run(INT8, {"prompt": "hi", "stream": True})
    assert isinstance(stream, AIStream)
    assert (await read(stream)).startswith(b'data: {"response":"hi"}\n\ndata: {"response":"","usage"')  # type: ignore[arg-type]


async def test_the_bindings_errors() -> None:
    ai = env_ai(await echo())
    with pytest.raises(InferenceUpstreamError) as caught:
        await ai.run("@cf/none/such", {"prompt": "hi"})
    error = caught.value
    assert isinstance(error, WorkersError)
    assert (error.name, str(error)) == ("AiError", "5007: No such model @cf/none/such or task")
    assert (error.code, error.status, error.request_id) == (5007, 400, ai.last_request_id)
    assert (ai.lastRequestHttpStatusCode, ai.lastRequestInternalStatusCode) == (400, 5007)


@pytest.mark.parametrize("model", [None, 3, {}])
async def test_a_model_that_is_no_text(model: Any) -> None:
    with pytest.raises(WorkersError, match="5007"):
        await env_ai(await echo()).run(model, {"prompt": "hi"})


async def test_inputs_that_cannot_be_sent_are_named() -> None:
    ai = env_ai(await echo())
    with pytest.raises(TypeError, match=r"inputs\.messages\[0\]\.content is a set"):
        await ai.run(INT8, {"messages": [{"role": "user", "content": {1}}]})
    with pytest.raises(TypeError, match="options is a str"):
        await ai.run(INT8, {"prompt": "hi"}, "stream")


async def test_only_run_can_be_called() -> None:
    with pytest.raises(AttributeError, match=r"env\.AI has no 'rum' here; .* env\.AI\.run"):
        env_ai(await echo()).rum  # noqa: B018
    with pytest.raises(CallError, match=r"env\.AI\.drop is not a function"):
        await AIBinding("AI", serve(await echo())).call("drop", [])


async def test_a_signal_aborts_the_call_and_the_stream() -> None:
    engine = await echo(rate=0.1)
    early, late = AbortController(), AbortController()
    asyncio.get_running_loop().call_later(0.05, early.abort)
    with pytest.raises(AbortError):
        await env_ai(engine).run(INT8, {"prompt": "a b"}, {"signal": early.signal})
    assert engine.live == 0
    engine = await echo(rate=20, tokens=1000)
    stream = await env_ai(engine).run(INT8, {"prompt": "a", "stream": True}, {"signal": late.signal})
    asyncio.get_running_loop().call_later(0.2, late.abort)
    with pytest.raises(AbortError):
        await read(stream)  # type: ignore[arg-type]
    assert engine.live == 0


# REST: what tests/ai/rest/test_rest.py cannot ask a server of pilot dev


def post(body: dict[str, Any]) -> Request:
    headers = {"authorization": "Bearer x"}
    return Request(
        "http://localhost:8787/client/v4/accounts/a/ai/run/", method="POST", body=json.dumps(body), headers=headers
    )


async def run(rest: RunRest, request: Request) -> Response:
    response: Response = await rest.routes()[0].handler(request, account="a", model=INT8)
    return response


async def test_a_host_without_a_token_lets_nobody_in() -> None:
    response = await run(
        RunRest(serve(await echo()), Auth(admits=lambda token, address: False)), post({"prompt": "hi"})
    )
    assert response.status == 401


async def test_rest_hands_the_stream_on_untouched() -> None:
    request = post({"prompt": "hi", "stream": True})
    response = await run(RunRest(serve(await echo()), Auth()), request)
    body = response.take_body()
    assert body.stats.tokens == 1  # type: ignore[union-attr]
    await body.aclose()  # type: ignore[union-attr]


# The product


class Quiet(Terminal):
    def debug(self, text: str) -> None:
        """An engine's own log."""

    def warn(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        """The engine loads."""

    def progress_done(self, key: str, text: str) -> None:
        """It has."""


def lent(tmp_path: Path, **options: Any) -> ProductContext:
    return ProductContext(root=tmp_path, state=tmp_path / ".pilot", on_host=False, observer=Quiet(), options=options)


def written(tmp_path: Path, table: str, models: str = "") -> Config:
    (tmp_path / "entry.py").write_text("")
    (tmp_path / "wrangler.toml").write_text(f'name = "w"\nmain = "entry.py"\n{table}')
    if models:
        (tmp_path / "models.yaml").write_text(models)
    return load(tmp_path / "wrangler.toml")


@pytest.mark.e2e
async def test_the_product_from_configuration_to_answer(tmp_path: Path) -> None:
    context = lent(tmp_path, engine="echo")
    await WorkersAI.start(context)
    try:
        models = "mine: {engine: echo, preload: true}"
        config = written(tmp_path, '[ai]\nbinding = "LLM"\nremote = true\n', models)
        [bound] = WorkersAI.parse(config, context)
        assert (bound.name, bound.describe()) == ("LLM", ("Workers AI", "engine: echo"))
        result = await AI(bound.name, Wire(bound)).run("mine", {"prompt": "hello there"})
        assert result == {"response": "hello there", "tool_calls": [], "usage": USAGE}
        route = next(route for route in WorkersAI.routes(context) if route.path.endswith("/ai/run"))
        answered = await route.handler(post({"model": INT8, "prompt": "hi"}), account="a")
        assert answered.headers["cf-ai-stand-in"] == "echo"
        assert len(context.shared["ai"].pool.clients) == 1
    finally:
        await WorkersAI.stop(context)
    assert not context.shared


async def test_without_the_key_there_is_no_binding_and_nothing_is_loaded(tmp_path: Path) -> None:
    context = lent(tmp_path, engine="llamacpp")
    await WorkersAI.start(context)
    assert list(WorkersAI.parse(written(tmp_path, ""), context)) == []
    assert context.shared["ai"].pool.clients == []
    described = AIBinding("AI", context.shared["ai"]).describe()
    assert described == ("Workers AI", "engine: llamacpp")
    await WorkersAI.stop(context)


@pytest.mark.parametrize(
    ("table", "models", "text"),
    [
        (
            "[ai]\nbinding = 'AI'\n[pilot]\nengine = 'vlm'",
            "",
            "wrangler.toml: pilot.engine: unknown engine 'vlm' (did you mean 'vllm'?)",
        ),
        ("[ai]\nbinding = 'AI'\n", "m: {lorra: 1}", "models.yaml: m: unknown field `lorra`"),
    ],
)
async def test_configuration_mistakes(tmp_path: Path, table: str, models: str, text: str) -> None:
    context = lent(tmp_path)
    await WorkersAI.start(context)
    with pytest.raises(ConfigError) as caught:
        WorkersAI.parse(written(tmp_path, table, models), context)
    assert text in str(caught.value)
    await WorkersAI.stop(context)


async def test_an_engine_on_the_command_line_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--engine: unknown engine 'ekho' \(did you mean 'echo'\?\)"):
        await WorkersAI.start(lent(tmp_path, engine="ekho"))


@pytest.mark.parametrize(
    ("on_host", "asked", "padding"),
    [
        (False, "", False),
        (True, "", True),
        (False, "padding = true", True),
        (True, "padding = false", True),
    ],  # a worker does not decide for its host
)
async def test_padding_is_on_for_a_host(tmp_path: Path, on_host: bool, asked: str, padding: bool) -> None:
    context = replace(lent(tmp_path, engine="echo"), on_host=on_host)
    await WorkersAI.start(context)
    WorkersAI.parse(written(tmp_path, f"[ai]\nbinding = 'AI'\n[pilot]\n{asked}"), context)
    assert context.shared["ai"].settings.padding is padding
    await WorkersAI.stop(context)
