"""Signs in with another server: the authorization code flow with PKCE, and a session in a cookie."""

import base64
import hashlib
import json
import secrets
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlparse

from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlparse(request.url)
        home = f"{url.scheme}://{url.netloc}"
        if url.path == "/login":
            return await self.login(home)
        if url.path == "/callback":
            return await self.callback(home, parse_qs(url.query))
        cookie = SimpleCookie(request.headers.get("cookie") or "").get("session")
        user = await self.env.SESSIONS.get(f"session:{cookie.value}") if cookie else None
        return Response(f"Hello {user}") if user else Response.redirect(f"{home}/login", 302)

    async def login(self, home):
        state, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        await self.env.SESSIONS.put(f"state:{state}", verifier, {"expirationTtl": 600})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"response_type": "code", "client_id": self.env.CLIENT_ID, "redirect_uri": f"{home}/callback"}
        asked |= {"state": state, "code_challenge": challenge, "code_challenge_method": "S256"}
        return Response.redirect(f"{self.env.PROVIDER}/authorize?{urlencode(asked)}")

    async def callback(self, home, query):
        verifier = await self.env.SESSIONS.get(f"state:{query['state'][0]}")
        if verifier is None:
            return Response("This sign-in was not begun here", status=400)
        await self.env.SESSIONS.delete(f"state:{query['state'][0]}")
        form = {"grant_type": "authorization_code", "code": query["code"][0], "code_verifier": verifier}
        form |= {"client_id": self.env.CLIENT_ID, "client_secret": self.env.CLIENT_SECRET}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        answer = await fetch(f"{self.env.PROVIDER}/token", method="POST", headers=headers, body=urlencode(form))
        if answer.status != 200:
            return Response(f"The provider says: {await answer.text()}", status=502)
        token = (await answer.json())["access_token"]
        me = await fetch(f"{self.env.PROVIDER}/me", headers={"authorization": f"Bearer {token}"})
        session = secrets.token_urlsafe(24)
        await self.env.SESSIONS.put(f"session:{session}", json.loads(await me.text())["login"], expirationTtl=3600)
        cookie = f"session={session}; HttpOnly; Path=/; SameSite=Lax; Max-Age=3600"
        return Response(None, status=303, headers={"location": f"{home}/", "set-cookie": cookie})
