"""The worker of test_gateway.py: each function is a case, with its assertions inside, where a user's code is."""

import asyncio
import json

from workers import URL, AbortController, Response

INT8 = "@cf/meta/llama-2-7b-chat-int8"
NEW_YORK = {"prompt": "New York"}
RAW = {"returnRawResponse": True}


async def fetch(request, env, ctx):
    answer = await globals()[URL(request.url).pathname.strip("/")](env, request)
    return Response("held\n") if answer is None else answer


async def failure(work):
    """The error of a call that must not succeed."""
    try:
        await work
    except Exception as error:
        return error
    raise AssertionError("it was not refused")


def refused(env, inputs, options, model=INT8):
    return failure(env.AI.run(model, inputs, options))


async def raw(env, inputs, model=INT8, **gateway):
    """(cache status, body) of one request through a gateway."""
    response = await env.AI.run(model, inputs, {**RAW, "gateway": {"id": "cached", **gateway}})
    return response.headers.get("cf-aig-cache-status"), await response.bytes()


async def an_answer_is_given_again(env, request):
    inputs = {"prompt": "one two three"}
    first = await raw(env, inputs, cacheTtl=60)
    assert first[0] == "MISS"
    assert await raw(env, inputs, cacheTtl=60) == ("HIT", first[1])
    assert (await raw(env, {**inputs, "max_tokens": 2}, cacheTtl=60))[0] == "MISS"
    assert (await raw(env, inputs, model="@cf/meta/llama-2-7b-chat-fp16", cacheTtl=60))[0] == "MISS"
    assert (await raw(env, inputs, id="another", cacheTtl=60))[0] == "MISS"
    assert (await raw(env, inputs, cacheTtl=60, skipCache=True))[0] is None
    assert (await raw(env, inputs))[0] is None


async def a_stream_is_given_again_event_by_event(env, request):
    async def chunks():
        options = {**RAW, "gateway": {"id": "cached", "cacheTtl": 3600}}
        response = await env.AI.run(INT8, {"prompt": "a b c", "stream": True}, options)
        assert response.headers["content-type"] == "text/event-stream"
        return response.headers["cf-aig-cache-status"], [bytes(chunk) async for chunk in response.body]

    (first, made), (second, again) = await chunks(), await chunks()
    assert (first, second) == ("MISS", "HIT")
    assert made == again
    assert made[-1].endswith(b"data: [DONE]\n\n")
    assert len(made) > 3


async def a_key_of_ones_own(env, request):
    assert (await raw(env, {"prompt": "a"}, cacheKey="mine"))[0] == "MISS"
    status, body = await raw(env, {"prompt": "b"}, cacheKey="mine")
    assert status == "HIT"
    assert json.loads(body)["response"] == "a"
    status, body = await raw(env, {"prompt": "b", "stream": True}, cacheKey="mine")
    assert status == "MISS"
    assert body.startswith(b"data: ")


async def a_stream_that_was_left_is_not_kept(env, request):
    inputs, options = {"prompt": "left alone", "stream": True}, {"gateway": {"id": "cached", "cacheTtl": 60}}
    stream = await env.AI.run("slow", inputs, options)
    async for _ in stream:
        break
    await stream.aclose()
    response = await env.AI.run("slow", inputs, {**options, **RAW})
    assert response.headers["cf-aig-cache-status"] == "MISS"
    await response.body.cancel()


async def a_refusal_is_not_kept(env, request):
    for _ in range(2):
        options = {**RAW, "gateway": {"id": "cached", "cacheTtl": 60}}
        response = await env.AI.run(INT8, {"prompt": 3}, options)
        assert response.status == 400
        assert response.headers["cf-aig-log-id"] == env.AI.aiGatewayLogId
        log = await env.AI.gateway("cached").get_log(env.AI.aiGatewayLogId)
        assert (log.status_code, log.success, log.cached) == (400, False, False)


async def invalid_options(env, request):
    for gateway in (
        "g",
        {"id": 3},
        {"id": ""},
        {"id": "a b"},
        {"id": "g", "cacheTtl": 59},
        {"id": "g", "cacheTtl": "60"},
        {"id": "g", "metadata": {"a": {"b": 1}}},
        {"id": "g", "metadata": []},
        {"id": "g", "retries": {"maxAttempts": 6}},
        {"skipCache": True},
        {"id": "g", "retries": {"backoff": "never"}},
        {"id": "g", "requestTimeoutMs": 0},
        {"id": "g", "collectLog": 1},
        {"id": "g", "retries": {"retryDelayMs": 5001}},
    ):
        error = await refused(env, NEW_YORK, {"gateway": gateway})
        assert (error.name, error.code, error.status) == ("AiError", 5006, 400), (gateway, error)
        assert "options.gateway" in str(error)
    nulls = dict.fromkeys(("cacheTtl", "cacheKey", "metadata", "retries", "eventId", "collectLog"))
    assert (await env.AI.run(INT8, NEW_YORK, {"gateway": {"id": "g", "unknown": 1, **nulls}})).response == "New York"


async def a_log(env, request):
    gateway, metadata = env.AI.gateway("logged"), {"user": "ada", "n": 1, "yes": True}
    options = {"gateway": {"id": "logged", "metadata": metadata, "eventId": "e1"}}
    await env.AI.run(INT8, NEW_YORK, options)
    log = await gateway.get_log(env.AI.aiGatewayLogId)
    assert (log.id, log.provider, log.model, log.path) == (env.AI.aiGatewayLogId, "workers-ai", INT8, f"run/{INT8}")
    assert (log.success, log.status_code, log.cached, log.step) == (True, 200, False, 0)
    assert (log.tokens_in, log.tokens_out, log.metadata, log.event_id) == (2, 2, metadata, "e1")
    assert json.loads(log.request_head) == NEW_YORK
    assert json.loads(log.response_head)["response"] == "New York"
    assert log.request_head_complete
    assert log.duration >= 0
    assert await gateway.patchLog(log.id, {"feedback": 1, "score": 80, "metadata": {"kind": "good"}}) is None
    patched = await gateway.getLog(log.id)
    assert (patched.feedback, patched.score, patched.metadata) == (1, 80, {"kind": "good"})
    await gateway.patch_log(log.id, {"feedback": None})
    assert (await gateway.getLog(log.id)).feedback is None
    await env.AI.run(INT8, NEW_YORK)
    assert env.AI.aiGatewayLogId is None


async def a_log_of_a_stream_stands_from_its_start(env, request):
    gateway = env.AI.gateway("logged")
    stream = await env.AI.run("slow", {"prompt": "a b", "stream": True}, {"gateway": {"id": "logged"}})
    id = env.AI.aiGatewayLogId
    assert (await gateway.get_log(id)).tokens_out == 0
    await gateway.patch_log(id, {"score": 5})
    async for _ in stream:
        break
    await stream.aclose()
    while not (log := await gateway.get_log(id)).tokens_out:
        await asyncio.sleep(0.02)
    assert (log.success, log.score, log.response_content_type) == (False, 5, "text/event-stream")
    stream = await env.AI.run(INT8, {"prompt": "a b", "stream": True}, {"gateway": {"id": "logged"}})
    id = env.AI.aiGatewayLogId
    assert b"[DONE]" in await Response(stream).bytes()
    log = await gateway.get_log(id)
    assert (log.success, log.tokens_out) == (True, 2)
    assert log.response_head.startswith('data: {"response":"a"}\n\n')
    assert log.response_head.endswith("data: [DONE]\n\n")
    assert (log.response_size, log.response_head_complete) == (len(log.response_head), True)


async def no_log_where_none_is_wanted(env, request):
    for gateway in ({"id": "logged", "collectLog": False}, {"id": "quiet"}):
        await env.AI.run(INT8, NEW_YORK, {"gateway": gateway})
        assert env.AI.aiGatewayLogId is None
    await env.AI.run(INT8, NEW_YORK, {"gateway": {"id": "quiet", "collectLog": True}})
    assert env.AI.aiGatewayLogId


async def logs_there_are_not(env, request):
    await env.AI.run(INT8, NEW_YORK, {"gateway": {"id": "logged"}})
    mine = env.AI.aiGatewayLogId
    for gateway, log in (("logged", "none"), ("other", mine)):
        for work in (env.AI.gateway(gateway).get_log(log), env.AI.gateway(gateway).patch_log(log, {"score": 1})):
            error = await failure(work)
            assert (error.name, error.status) == ("AiGatewayLogNotFound", 404), error
    for changes in ({"score": 101}, {"feedback": 2}, {"id": "x"}, [], {"metadata": {"a": []}}):
        error = await failure(env.AI.gateway("logged").patch_log(mine, changes))
        assert (error.name, error.code) == ("AiError", 5006), error


async def a_rate_limit(env, request):
    options = {"gateway": {"id": "limited"}}
    for _ in range(2):
        await env.AI.run(INT8, NEW_YORK, options)
    error = await refused(env, NEW_YORK, options)
    assert (error.name, str(error), error.status) == ("InferenceUpstreamError", "2003: Rate limited", 429)
    response = await env.AI.run(INT8, NEW_YORK, {**options, **RAW})
    assert (await response.json())["errors"] == [{"message": "Rate limited", "code": 2003}]
    await env.AI.run(INT8, NEW_YORK, {"gateway": {"id": "another"}})


async def a_time_limit(env, request):
    error = await refused(env, NEW_YORK, {"gateway": {"id": "g", "requestTimeoutMs": 20}}, model="slow")
    assert (error.code, error.status) == (3007, 408), error
    stream = await env.AI.run("slow", {**NEW_YORK, "stream": True}, {"gateway": {"id": "g", "requestTimeoutMs": 20000}})
    await stream.aclose()


async def the_universal_endpoint(env, request):
    gateway = env.AI.gateway("universal")
    query = {"provider": "workers-ai", "endpoint": INT8, "headers": {"authorization": "Bearer x"}, "query": NEW_YORK}
    other = {"provider": "openai", "endpoint": "chat/completions", "headers": {}, "query": {}}
    response = await gateway.run([other, {**query, "endpoint": "@cf/none"}, query])
    assert (response.status, response.headers["cf-aig-step"]) == (200, "2")
    assert (await response.json())["result"]["response"] == "New York"
    response = await gateway.run({**query, "query": {**NEW_YORK, "stream": True}}, {"gateway": {"cacheTtl": 60}})
    assert response.headers["cf-aig-cache-status"] == "MISS"
    assert (await response.text()).endswith("data: [DONE]\n\n")
    said = {"model": "workers-ai/" + INT8, "messages": [{"role": "user", "content": "hi you"}]}
    chat = {"provider": "compat", "endpoint": "chat/completions", "headers": {}, "query": said}
    response = await gateway.run([{**chat, "query": {**said, "model": "openai/gpt"}}, chat])
    assert (response.status, response.headers["cf-aig-step"]) == (200, "1")
    assert (await response.json())["choices"][0]["message"]["content"] == "hi you"
    response = await gateway.run({**chat, "query": {**said, "stream": True}})
    assert "chat.completion.chunk" in (text := await response.text()), text
    assert text.endswith("data: [DONE]\n\n")
    response = await gateway.run(other)
    assert response.status == 400
    assert (await response.json())["errors"][0]["code"] == 2008


async def a_signal_aborts_a_universal_request(env, request):
    gateway, controller = env.AI.gateway("universal"), AbortController()
    asyncio.get_running_loop().call_later(0.05, controller.abort)
    query = {"provider": "workers-ai", "endpoint": "slow", "headers": {}, "query": NEW_YORK}
    error = await failure(gateway.run(query, {"signal": controller.signal}))
    assert error.name == "AbortError", error


async def its_address(env, request):
    url = await env.AI.gateway("my gateway").getUrl("workers-ai")
    assert url.endswith("/gateways/my%20gateway/workers-ai"), url
    assert (await env.AI.gateway("g").getUrl()).endswith("/gateways/g/")
    error = await failure(env.AI.gateway("g").get_url("openai"))
    assert error.name == "AiGatewayInternalError"
    assert "the only provider served here is 'workers-ai'" in str(error)


async def give_attempts(env, request):
    """How a request with retries ends, and whether it was aborted."""
    options = await request.json()
    try:
        result = await env.AI.run("remote", NEW_YORK, {"gateway": {"id": "g", **options}})
        return Response.json(result)
    except Exception as error:
        return Response.json({"error": str(error)})
