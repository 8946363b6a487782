"""Signs in with a password that is kept as PBKDF2, and answers with a JWT that is signed with HMAC."""

import base64
import json
from urllib.parse import urlparse

from js import Date, Object, Uint8Array, crypto
from pyodide.ffi import to_js

from workers import Response, WorkerEntrypoint

HMAC = to_js({"name": "HMAC", "hash": "SHA-256"}, dict_converter=Object.fromEntries)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/register":
            return await self.register(await request.json())
        if path == "/login":
            return await self.login(await request.json())
        user = await self.user(request)
        return Response.json({"user": user}) if user else Response("Unauthorized", status=401)

    async def register(self, form):
        if await self.env.USERS.get(form["name"]):
            return Response("Taken", status=409)
        salt = crypto.getRandomValues(Uint8Array.new(16)).to_bytes()
        await self.env.USERS.put(form["name"], f"{salt.hex()}:{await self.hashed(form['password'], salt)}")
        return Response(None, status=204)

    async def login(self, form):
        kept = await self.env.USERS.get(form["name"]) or ":"
        salt, _, wanted = kept.partition(":")
        if await self.hashed(form["password"], bytes.fromhex(salt)) != wanted:
            return Response("Wrong name or password", status=401)
        claims = {"sub": form["name"], "exp": Date.now() // 1000 + 3600}
        parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signed = ".".join(parts)
        signature = await crypto.subtle.sign("HMAC", await self.key(["sign"]), to_js(signed.encode()))
        return Response.json({"token": f"{signed}.{encoded(signature.to_bytes())}"})

    async def user(self, request):
        scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            return None
        signed, _, signature = token.rpartition(".")
        key = await self.key(["verify"])
        if not await crypto.subtle.verify("HMAC", key, to_js(decoded(signature)), to_js(signed.encode())):
            return None
        claims = json.loads(decoded(signed.partition(".")[2]))
        return claims["sub"] if claims["exp"] > Date.now() / 1000 else None

    async def key(self, usages):
        secret = to_js(self.env.JWT_SECRET.encode())
        return await crypto.subtle.importKey("raw", secret, HMAC, False, to_js(usages))

    async def hashed(self, password, salt):
        key = await crypto.subtle.importKey("raw", to_js(password.encode()), "PBKDF2", False, to_js(["deriveBits"]))
        options = {"name": "PBKDF2", "hash": "SHA-256", "salt": to_js(salt), "iterations": 10000}
        bits = await crypto.subtle.deriveBits(to_js(options, dict_converter=Object.fromEntries), key, 256)
        return bits.to_bytes().hex()
