"""Takes GitHub's webhooks: the signature is checked, each delivery counts once, the work is done after the answer."""

import hashlib
import hmac
import json

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method != "POST":
            rows = await self.env.DB.prepare("SELECT event, repository FROM deliveries ORDER BY rowid").all()
            return Response.json(rows.results)
        body = await request.bytes()
        wanted = hmac.new(self.env.WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("x-hub-signature-256") or "", f"sha256={wanted}"):
            return Response("Bad signature", status=403)
        event, id = request.headers["x-github-event"], request.headers["x-github-delivery"]
        self.ctx.waitUntil(self.keep(id, event, json.loads(body)))
        return Response(None, status=202)

    async def keep(self, id, event, payload):
        await self.env.DB.exec(
            "CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, event TEXT, repository TEXT)"
        )
        insert = self.env.DB.prepare("INSERT OR IGNORE INTO deliveries VALUES (?1, ?2, ?3)")
        await insert.bind(id, event, payload["repository"]["full_name"]).run()
