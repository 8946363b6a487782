"""The worker of test_binding.py: each function is a case, with its assertions inside, where a user's code is."""

import asyncio
import json
import re
from contextlib import aclosing

from js import JSON, Object
from pyodide.ffi import jsnull, to_js

from workers import URL, AbortController, AbortError, AbortSignal, Response

INT8 = "@cf/meta/llama-2-7b-chat-int8"
SLOW = "slow"  # ten tokens a second, 400 of them
USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
NEW_YORK = {"prompt": "New York"}
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
EVENTS = {"content-type": "text/event-stream"}


async def fetch(request, env, ctx):
    answer = await globals()[URL(request.url).pathname.strip("/")](env)
    return Response("held\n") if answer is None else answer


async def refused(env, model, inputs, options=None):
    """The error of a call that must not succeed."""
    try:
        await env.AI.run(model, inputs, options)
    except Exception as error:
        return error
    raise AssertionError("it was not refused")


def raised(function, *args):
    """The error of a function that must fail."""
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


async def a_result_reads_as_item_and_as_attribute(env):
    result = await env.AI.run(INT8, NEW_YORK)
    assert result == {"response": "New York", "tool_calls": [], "usage": USAGE}
    assert result.response == result["response"] == "New York"
    assert result.usage.total_tokens == result["usage"]["total_tokens"] == 4
    assert json.loads(json.dumps(result)) == result.to_py() == result
    assert list(result) == ["response", "tool_calls", "usage"]


async def a_result_names_what_it_has(env):
    result = await env.AI.run(INT8, NEW_YORK)
    error = raised(getattr, result, "output")
    assert isinstance(error, AttributeError)
    assert "it has: response, tool_calls, usage" in str(error), error


async def messages_and_raw(env):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "New York"}]
    for inputs in ({"messages": messages}, {"messages": tuple(messages)}, {"prompt": "New York", "raw": True}):
        result = await env.AI.run(INT8, inputs)
        assert result.response == "New York", result


async def inputs_of_a_javascript_kind(env):
    """As Python Workers on Pyodide write them."""
    null = JSON.parse(json.dumps({**NEW_YORK, "stop": None}))
    assert null["stop"] is jsnull
    for inputs in (to_js(NEW_YORK, dict_converter=Object.fromEntries), JSON.parse(json.dumps(NEW_YORK)), null):
        result = await env.AI.run(INT8, inputs, to_js({"tags": ["a"]}, dict_converter=Object.fromEntries))
        assert result.to_py()["response"] == "New York"
    assert (await env.AI.run(INT8, null, jsnull)).response == "New York"


async def the_binding_by_item_and_by_attribute(env):
    assert env["AI"] is env.AI
    assert "AI" in env


async def none_is_absent(env):
    names = (
        "messages",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop",
        "raw",
        "lora",
        "tools",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "response_format",
    )
    result = await env.AI.run(INT8, {**NEW_YORK, **dict.fromkeys(names)}, None)
    assert result.response == "New York"


async def parameters_are_taken(env):
    result = await env.AI.run(
        INT8,
        {
            "prompt": "one two three four",
            "max_tokens": 3,
            "temperature": 0.1,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "repetition_penalty": 1.1,
            "frequency_penalty": -1,
            "presence_penalty": 0.5,
            "stop": ["three"],
        },
    )
    assert result.response == "one two ", result
    result = await env.AI.run(INT8, {"prompt": "one two three four", "max_tokens": 3})
    assert (result.response, result.usage.completion_tokens) == ("one two three", 3)


async def options_are_tolerated(env):
    result = await env.AI.run(
        INT8,
        NEW_YORK,
        {
            "tags": ["a"],
            "prefix": "p",
            "extraHeaders": {"x-a": "b"},
            "rejectIfBusy": True,
            "unknown": {"deep": [1]},
            "sessionOptions": {"extraHeaders": {"x-session-affinity": "ses_1"}},
            "gateway": {"id": "mine", "skipCache": True},
            "returnRawResponse": False,
            "queueRequest": False,
        },
    )
    assert result.response == "New York"


async def options_that_would_change_the_answer_are_refused(env):
    error = await refused(env, INT8, NEW_YORK, {"websocket": True})
    assert (error.name, error.code) == ("AiError", 5006)
    assert "websocket" in str(error)


async def tags_have_limits(env):
    assert (await env.AI.run(INT8, NEW_YORK, {"tags": ["a:b-c./@D9", *"bcde"]})).response == "New York"
    for tags in ("a", ["a"] * 6, ["x" * 51], ["ümlaut"], [""], [3], {"a": 1}):
        error = await refused(env, INT8, NEW_YORK, {"tags": tags})
        assert (error.code, error.status) == (5006, 400), error
        assert "options.tags" in str(error)


async def a_raw_response_of_a_result(env):
    response = await env.AI.run(INT8, NEW_YORK, {"returnRawResponse": True})
    assert isinstance(response, Response)
    assert (response.status, response.ok, response.headers["content-type"]) == (200, True, "application/json")
    assert response.headers["cf-ai-req-id"] == env.AI.lastRequestId
    assert await response.json() == {"response": "New York", "tool_calls": [], "usage": USAGE}


async def a_raw_response_of_a_stream(env):
    response = await env.AI.run(INT8, {**NEW_YORK, "stream": True}, {"returnRawResponse": True})
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
    chunks = [chunk async for chunk in response.body]
    assert chunks[0] == b'data: {"response":"New"}\n\n'
    assert chunks[-1].endswith(b"data: [DONE]\n\n")


async def a_raw_response_of_a_refusal(env):
    response = await env.AI.run("@cf/none", NEW_YORK, {"returnRawResponse": True})
    assert (response.status, response.ok, response.headers["content-type"]) == (400, False, "application/json")
    text = "No such model @cf/none or task"
    assert await response.json() == {
        "internalCode": 5007,
        "message": f"AiError: {text}",
        "name": "AiError",
        "description": text,
    }
    assert response.headers["cf-ai-req-id"] == env.AI.lastRequestId
    assert (env.AI.lastRequestHttpStatusCode, env.AI.lastRequestInternalStatusCode) == (400, 5007)


async def a_signal_aborts_a_raw_response(env):
    controller = AbortController()
    options = {"signal": controller.signal, "returnRawResponse": True}
    response = await env.AI.run(SLOW, {**NEW_YORK, "stream": True}, options)
    try:
        async for _ in response.body:
            controller.abort()
    except AbortError:
        return
    raise AssertionError("the stream went on to its end")


async def a_body_among_the_inputs(env):
    """What upstream refuses before it asks; and one that is read and sent."""

    def body(kind="audio/wav"):
        return {"body": Response("sound").body, "contentType": kind}

    for inputs, options, words in [
        ({"audio": body(None)}, None, "Content-Type is required with ReadableStream inputs"),
        (
            {"audio": body(), "image": body()},
            None,
            "Multiple ReadableStreams are not supported. Found streams in keys: [audio, image]",
        ),
        ({"audio": body()}, {"gateway": {"id": "g"}}, "AI Gateway does not support ReadableStreams yet."),
    ]:
        error = await refused(env, INT8, inputs, options)
        assert (error.name, str(error)) == ("AiInternalError", words), error
    error = await refused(env, INT8, {**NEW_YORK, "audio": body()})  # it was read and sent
    assert str(error) == "5006: Error: '/audio' is not served here"


async def headers_of_the_call_and_of_the_session(env):
    """Those of the call go first; ``cf-aig-*`` means what ``options.gateway`` does."""
    options = {
        "sessionOptions": {"extraHeaders": {"cf-aig-event-id": "s", "x-session-affinity": "ses_1"}},
        "extraHeaders": {"CF-AIG-Event-Id": "c"},
        "returnRawResponse": True,
    }
    response = await env.AI.run(INT8, NEW_YORK, options)
    assert response.headers["cf-aig-event-id"] == "c"
    error = await refused(env, INT8, NEW_YORK, {"extraHeaders": {"x-a": {}}})
    assert isinstance(error, TypeError)
    assert "extra header 'x-a' is a dict" in str(error)


async def what_is_served_elsewhere_only(env):
    assert env.AI.getLogs() == []
    for name in ("autorag", "aiSearch", "fetch"):
        error = raised(getattr, env.AI, name)
        assert isinstance(error, AttributeError)
        assert f"env.AI has no '{name}' here" in str(error)


async def the_wrapper_of_the_announcement(env):
    from cloudflare_ai import Ai

    ai = Ai(env.AI, {"sessionOptions": {"ctx": object(), "extraHeaders": {"x-a": "b"}}})
    assert (await ai.run(INT8, NEW_YORK)).response == "New York"
    assert ai.lastRequestId == ai.last_request_id == env.AI.lastRequestId
    chunks = [chunk async for chunk in await ai.run(INT8, {**NEW_YORK, "stream": True})]
    assert chunks[0] == b'data: {"response":"New"}\n\n'
    assert ai.getLogs() == []
    assert "[ai] binding" in str(raised(Ai, None))


async def a_batch_by_the_binding(env):
    queued = await env.AI.run(INT8, {"requests": [NEW_YORK, {"prompt": 3}]}, {"queueRequest": True})
    assert (queued.status, queued.model) == ("queued", INT8)
    while "responses" not in (told := await env.AI.run(INT8, {"request_id": queued.request_id})):
        assert told.status in ("queued", "running")
        await asyncio.sleep(0.02)
    good, bad = told.responses
    assert (good.id, good.success, good.result.response, good.external_reference) == (0, True, "New York", None)
    assert (bad.id, bad.success, bad.result, bad.error.code) == (1, False, None, 5006)
    assert told.usage == USAGE


async def the_last_request(env):
    await env.AI.run(INT8, NEW_YORK)
    first = env.AI.lastRequestId
    assert re.fullmatch(UUID, first), first
    assert (env.AI.lastRequestHttpStatusCode, env.AI.lastRequestInternalStatusCode) == (200, None)
    await env.AI.run(INT8, NEW_YORK)
    assert env.AI.lastRequestId == env.AI.last_request_id != first
    error = await refused(env, "@cf/none", NEW_YORK)
    assert env.AI.lastRequestId == error.request_id
    assert (env.AI.lastRequestHttpStatusCode, env.AI.lastRequestInternalStatusCode) == (400, 5007)


async def errors_have_the_services_names_codes_and_words(env):
    long = "exceeded this model context window limit"
    for model, inputs, status, code, words in [
        ("@cf/none", NEW_YORK, 400, 5007, "No such model @cf/none or task"),
        (None, NEW_YORK, 400, 5007, "No such model None or task"),
        (
            INT8,
            {},
            400,
            5006,
            "Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "
            "required properties at '/' are 'messages'",
        ),
        (INT8, None, 400, 5006, "Error: Type mismatch of '/', 'null' not in 'object'"),
        (
            INT8,
            {"prompt": 3},
            400,
            5006,
            "Error: oneOf at '/' not met, 0 matches: Type mismatch of '/prompt', 'integer' not in 'string'",
        ),
        (INT8, {"prompt": "x " * 2049}, 413, 5021, f"The estimated number of input tokens (2049) {long} (2048)."),
        (
            INT8,
            {**NEW_YORK, "max_tokens": 1801, "stream": True},
            413,
            5021,
            f"The estimated number of maximum output tokens (1801) {long} (1800).",
        ),
        (INT8, {**NEW_YORK, "lora": "mine"}, 405, 5005, f"The model {INT8} does not support LoRa inference"),
    ]:
        error = await refused(env, model, inputs)
        assert str(error) == error.message == f"{code}: {words}", error
        assert (error.name, error.code, error.status) == ("AiError", code, status)
        assert type(error).__name__ == "AiError"


async def what_is_not_json_is_named(env):
    error = await refused(env, INT8, {"messages": [{"role": "user", "content": {1}}]})
    assert isinstance(error, TypeError)
    assert "inputs.messages[0].content is a set" in str(error)
    error = await refused(env, INT8, NEW_YORK, "stream")
    assert "options is a str" in str(error)


async def a_stream_read_here(env):
    stream = await env.AI.run(INT8, {**NEW_YORK, "stream": True})
    chunks = [chunk async for chunk in stream]
    assert all(isinstance(chunk, bytes) for chunk in chunks)
    *events, usage, done, end = b"".join(chunks).split(b"\n\n")
    assert [json.loads(event[6:]) for event in events] == [{"response": "New"}, {"response": " York"}]
    assert json.loads(usage[6:]) == {"response": "", "usage": USAGE}
    assert (done, end) == (b"data: [DONE]", b"")


async def a_stream_read_by_a_reader(env):
    reader = (await env.AI.run(INT8, {**NEW_YORK, "stream": True})).getReader()
    read = b""
    while not (part := await reader.read()).done:
        read += part.value
    assert read.endswith(b"data: [DONE]\n\n")


async def a_stream_through_a_response(env):
    stream = await env.AI.run(INT8, {**NEW_YORK, "stream": True})
    assert (await Response(stream).text()).startswith('data: {"response":"New"}\n\n')


async def a_stream_is_read_once(env):
    stream = await env.AI.run(INT8, {**NEW_YORK, "stream": True})
    async for _ in stream:
        pass
    error = raised(Response, stream)
    assert isinstance(error, TypeError)
    assert "used already" in str(error), error


async def two_branches_of_a_stream(env):
    one, two = (await env.AI.run(INT8, {**NEW_YORK, "stream": True})).tee()
    first, second = await asyncio.gather(Response(one).text(), Response(two).text())
    assert first == second
    assert first.endswith("data: [DONE]\n\n")


async def many_at_once(env):
    results = await asyncio.gather(*(env.AI.run(INT8, {"prompt": f"number {n}"}) for n in range(30)))
    assert [result.response for result in results] == [f"number {n}" for n in range(30)]


async def an_aborted_signal_never_asks(env):
    controller = AbortController()
    controller.abort()
    error = await refused(env, SLOW, NEW_YORK, {"signal": controller.signal})
    assert error.name == "AbortError", error


async def a_signal_aborts_a_call(env):
    controller = AbortController()
    asyncio.get_running_loop().call_later(0.05, controller.abort)
    error = await refused(env, SLOW, NEW_YORK, {"signal": controller.signal})
    assert error.name == "AbortError", error
    error = await refused(env, SLOW, NEW_YORK, {"signal": AbortSignal.timeout(50)})
    assert isinstance(error, TimeoutError), error


async def a_signal_aborts_a_stream(env):
    controller = AbortController()
    stream = await env.AI.run(SLOW, {**NEW_YORK, "stream": True}, {"signal": controller.signal})
    read = []
    try:
        async for chunk in stream:
            read.append(chunk)
            controller.abort()
    except AbortError:
        assert len(read) == 1
    else:
        raise AssertionError("the stream went on to its end")


async def a_stream_can_be_left(env):
    async with aclosing(await env.AI.run(SLOW, {**NEW_YORK, "stream": True})) as stream:
        async for _ in stream:
            break
    await (await env.AI.run(SLOW, {**NEW_YORK, "stream": True})).cancel()


# What test_binding.py looks at from outside: these answer with something.


async def give_response(env):
    return Response(await env.AI.run(INT8, {**NEW_YORK, "stream": True}), headers=EVENTS)


async def give_stream(env):
    return await env.AI.run(INT8, {**NEW_YORK, "stream": True})


async def give_iterated(env):
    async def each(stream):
        async for chunk in stream:
            yield chunk

    return Response(each(await env.AI.run(INT8, {**NEW_YORK, "stream": True})), headers=EVENTS)


async def give_away(env):
    """Asks for a stream and forgets about it."""
    await env.AI.run("remote", {**NEW_YORK, "stream": True})
    return Response("something else")


async def give_remote(env):
    return await env.AI.run("remote", {**NEW_YORK, "stream": True})


async def give_remote_iterated(env):
    async def each(stream):
        async for chunk in stream:
            yield chunk

    return Response(each(await env.AI.run("remote", {**NEW_YORK, "stream": True})), headers=EVENTS)


async def give_models(env):
    """What answers for each model of the project's own models.yaml."""
    found = {}
    for model in ("mine", "remote", INT8):
        try:
            found[model] = (await env.AI.run(model, {"prompt": "a b c d"})).response
        except Exception as error:
            found[model] = str(error)
    return Response.json(found)


async def give_error(env):
    await env.AI.run("@cf/none", NEW_YORK)
