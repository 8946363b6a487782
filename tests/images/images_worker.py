"""A worker that changes pictures, and says what it is told where it cannot."""

import json

from pyodide.ffi import JsException

from workers import URL, Response, WorkerEntrypoint

LOGO = "logo"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = URL(request.url)
        try:
            return await getattr(self, url.pathname.strip("/"))(request, url.searchParams)
        except JsException as error:
            return Response.json({"error": error.message, "name": error.name, "code": error.code}, status=500)

    async def info(self, request, query):
        """What it is."""
        found = await self.env.IMAGES.info(request.body)
        return Response.json({"format": found.format, **found})

    async def change(self, request, query):
        """?steps=[{...}]&output={...}: every step by transform."""
        chain = self.env.IMAGES.input(request.body)
        for step in json.loads(query.get("steps") or "[]"):
            assert chain.transform(step) is chain
        result = await chain.output(**json.loads(query.get("output") or "{}"))
        response = result.response()
        assert response.headers["content-type"] == result.contentType()
        return response

    async def stamp(self, request, query):
        """A picture with a smaller one of itself on it, which has been turned."""
        content = bytes(await request.bytes())
        drawn = self.env.IMAGES.input(content).transform(width=10, height=10, fit="squeeze").transform(rotate=90)
        chain = self.env.IMAGES.input(content).draw(drawn, json.loads(query.get("how") or "{}"))
        result = await chain.output({"format": "image/png"})
        return Response(result.image(), headers={"content-type": result.contentType()})

    async def both(self, request, query):
        """Base64 in and out."""
        result = await self.env.IMAGES.input(request.body, encoding="base64").output({"format": "image/png"})
        return Response(result.image(encoding="base64"))

    async def twice(self, request, query):
        chain = self.env.IMAGES.input(request.body)
        await chain.output(format="image/png")
        await chain.output(format="image/png")

    async def many(self, request, query):
        """Thirty-three pictures on one."""
        content = bytes(await request.bytes())
        chain = self.env.IMAGES.input(content)
        for _ in range(33):
            chain.draw(content)
        await chain.output(format="image/png")

    async def wrong(self, request, query):
        """What is no image, and what is no option, does not leave the worker."""
        told = []
        for attempt in (lambda: self.env.IMAGES.input("text"), lambda: self.env.IMAGES.input(b"").transform((1, 2))):
            try:
                attempt()
            except TypeError as error:
                told.append(str(error))
        try:
            await self.env.IMAGES.get_info(b"")
        except AttributeError as error:
            told.append(str(error))
        return Response.json(told)
