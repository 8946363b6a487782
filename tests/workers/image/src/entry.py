"""Uploads are kept in R2; thumbnails are made once, with the Images binding, and measured with Pillow."""

import io
from urllib.parse import urlparse

from PIL import Image

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        key = urlparse(request.url).path[1:]
        if request.method == "PUT":
            data = await request.bytes()
            with Image.open(io.BytesIO(data)) as image:
                size = {"width": str(image.width), "height": str(image.height)}
            kind = {"contentType": request.headers["content-type"]}
            await self.env.BUCKET.put(key, data, httpMetadata=kind, customMetadata=size)
            return Response.json(size, status=201)
        if key.startswith("thumb/"):
            return await self.thumbnail(key.removeprefix("thumb/"))
        found = await self.env.BUCKET.get(key)
        if found is None:
            return Response("No such image", status=404)
        return Response(found.body, headers={"content-type": found.httpMetadata.contentType, "etag": found.httpEtag})

    async def thumbnail(self, key):
        found = await self.env.BUCKET.get(f"thumbs/{key}")
        if found is None:
            original = await self.env.BUCKET.get(key)
            if original is None:
                return Response("No such image", status=404)
            made = await self.env.IMAGES.input(original.body).transform({"width": 32}).output({"format": "image/webp"})
            data = await made.response().bytes()
            await self.env.BUCKET.put(f"thumbs/{key}", data)
            return Response(data, headers={"content-type": "image/webp", "x-made": "now"})
        return Response(found.body, headers={"content-type": "image/webp", "x-made": "before"})
