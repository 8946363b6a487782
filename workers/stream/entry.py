from workers import Response

async def fetch(request, env, ctx):
    stream = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "where is new york?", "stream": True})
    return Response(stream, headers={"content-type": "text/event-stream"})
