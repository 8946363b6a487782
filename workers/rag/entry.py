"""Ask your own documents: upload Markdown, text or PDF, then ask, and the answer streams with its sources.

``GET /api/documents``, ``PUT /api/documents/NAME`` (the body is the file), ``GET`` and ``DELETE`` of one;
``GET`` and ``PUT /api/settings``; ``POST /api/ask`` with ``{"question": ...}``. The page is ``public/index.html``.
"""

import json
from urllib.parse import quote, unquote, urlsplit

from library import Library

from workers import Response, WorkerEntrypoint

SETTINGS = {"pieces": 3, "instruction": "Answer from these notes alone. If they do not say, say that."}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        library = Library(self.env)
        path = unquote(urlsplit(request.url).path)
        match request.method, path.strip("/").split("/", 2):
            case "GET", ["api", "documents"]:
                return Response.json(await library.documents())
            case "PUT", ["api", "documents", name]:
                return await self.upload(library, name, request)
            case "GET", ["api", "documents", name]:
                return await self.download(name)
            case "DELETE", ["api", "documents", name]:
                await library.remove(name)
                return Response(None, status=204)
            case "GET", ["api", "settings"]:
                return Response.json(await self.settings())
            case "PUT", ["api", "settings"]:
                await self.env.SETTINGS.put("settings", json.dumps(SETTINGS | await request.json()))
                return Response.json(await self.settings())
            case "POST", ["api", "ask"]:
                return await self.answer(library, (await request.json()).get("question", "").strip())
        return Response("Not found\n", status=404)

    async def upload(self, library, name, request):
        """The file goes to R2 as it is; what is made of it is indexed from there."""
        content_type = request.headers.get("content-type") or "application/octet-stream"
        await self.env.FILES.put(name, request.body, httpMetadata={"contentType": content_type})
        try:
            pieces = await library.add(name, await self.env.FILES.get(name))
        except ValueError as error:
            await library.remove(name)
            return Response.json({"error": str(error)}, status=422)
        return Response.json({"name": name, "pieces": pieces}, status=201)

    async def download(self, name):
        found = await self.env.FILES.get(name)
        if found is None:
            return Response("Not found\n", status=404)
        headers = {"content-type": found.httpMetadata.contentType, "etag": found.httpEtag}
        # Whatever was uploaded is a file to be kept, and no page of this site.
        headers |= {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
            "x-content-type-options": "nosniff",
        }
        return Response(found.body, headers=headers)

    async def settings(self):
        return SETTINGS | (await self.env.SETTINGS.get("settings", "json") or {})

    async def answer(self, library, question):
        """The model's stream, as it comes; the sources travel ahead of it, in a header."""
        if not question:
            return Response.json({"error": 'Send {"question": "..."}'}, status=400)
        settings = await self.settings()
        sources = await library.search(question, settings["pieces"])
        if not sources:
            return Response.json({"error": "There are no documents yet: upload one."}, status=409)
        notes = "\n\n".join(f"[{source['document']}]\n{source['text']}" for source in sources)
        messages = [
            {"role": "system", "content": f"{settings['instruction']}\n\nNotes:\n\n{notes}"},
            {"role": "user", "content": question},
        ]
        tokens = await self.env.AI.run(self.env.CHAT_MODEL, {"messages": messages, "max_tokens": 256, "stream": True})
        return Response(tokens, headers={"content-type": "text/event-stream", "x-sources": quote(json.dumps(sources))})
