"""A basket in KV, found by a cookie, forgotten after an hour."""

import json
import uuid
from http.cookies import SimpleCookie
from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        cookies = SimpleCookie(request.headers.get("cookie") or "")
        id = cookies["basket"].value if "basket" in cookies else str(uuid.uuid4())
        basket = await self.env.BASKETS.get(id, "json") or {}
        path = urlparse(request.url).path
        if path.startswith("/add/"):
            name = path.removeprefix("/add/")
            basket[name] = basket.get(name, 0) + 1
            await self.env.BASKETS.put(id, json.dumps(basket), {"expirationTtl": 3600, "metadata": {"of": len(basket)}})
        headers = {"set-cookie": f"basket={id}; HttpOnly; Secure; Path=/"}
        return Response.json(basket, headers=headers)
