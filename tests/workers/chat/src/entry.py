"""A page and a stream: the model's events go straight to the browser."""

from urllib.parse import parse_qs, urlparse

from workers import Response, WorkerEntrypoint

PAGE = """<!doctype html><title>Chat</title><form><input name=q></form><pre></pre>"""


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlparse(request.url)
        if url.path == "/":
            return Response(PAGE, headers={"content-type": "text/html;charset=UTF-8"})
        prompt = parse_qs(url.query).get("q", [""])[0]
        if not prompt:
            return Response.json({"error": "q is missing"}, status=400)
        messages = [{"role": "user", "content": prompt}]
        stream = await self.env.AI.run(self.env.MODEL, {"messages": messages, "stream": True})
        if url.path == "/words":
            return Response(str(await self.count(stream)))
        return Response(stream, headers={"content-type": "text/event-stream", "cache-control": "no-cache"})

    async def count(self, stream):
        """Reads it here, as the browser would."""
        text = ""
        async for chunk in stream:
            text += chunk.to_bytes().decode()
        return text.count("data: {")
