"""A chat page: ``/`` is the page, ``/worker-endpoint?query=...`` the stream that its EventSource reads, ``/model`` who
answers."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from workers import Response

PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
SYSTEM = {"role": "system", "content": "You are a helpful assistant. Answer clearly and briefly."}
EVENTS = {"content-type": "text/event-stream"}


async def fetch(request, env, ctx):
    url = urlsplit(request.url)
    if url.path == "/":
        return Response(PAGE, headers={"content-type": "text/html; charset=utf-8"})
    if url.path == "/model":
        return Response.json({"model": env.MODEL, "stand_in": await stand_in(env)})
    if url.path == "/worker-endpoint":
        return await answer(parse_qs(url.query), env)
    return Response("Not found\n", status=404)


async def answer(query, env):
    """Stream the model's answer to ``query``; ``history`` is the conversation so far, as a JSON list."""
    question = query.get("query", [""])[0].strip()
    if not question:
        return Response("Ask something: /worker-endpoint?query=where+is+new+york\n", status=400)
    try:
        past = json.loads(query.get("history", ["[]"])[0])
        history = [{"role": turn["role"], "content": turn["content"]} for turn in past]
    except (ValueError, TypeError, KeyError):
        return Response('history must be a JSON list of {"role", "content"}\n', status=400)
    return await stream([SYSTEM, *history, {"role": "user", "content": question}], env)


async def stream(messages, env):
    try:
        tokens = await env.AI.run(env.MODEL, {"messages": messages, "max_tokens": 512, "stream": True})
    except Exception as error:
        # An EventSource can read neither the status nor the body of a refusal, so it is told as an event.
        print(f"{env.MODEL}: {error}")
        return Response(f"data: {json.dumps({'error': {'message': str(error)}})}\n\n", headers=EVENTS)
    return Response(tokens, headers=EVENTS)


async def stand_in(env):
    """Who answers in the model's place, if anyone does: a question of one token finds out."""
    ask = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    answer = await env.AI.run(env.MODEL, ask, {"returnRawResponse": True})
    return answer.headers.get("cf-ai-stand-in")
