"""Short links in D1, made with a token, counted as they are followed."""

from urllib.parse import urlparse

from js import JSON, Response, crypto


async def on_fetch(request, env, ctx):
    path = urlparse(request.url).path
    await env.DB.exec("CREATE TABLE IF NOT EXISTS links (code TEXT PRIMARY KEY, url TEXT NOT NULL, hits INT DEFAULT 0)")
    if request.method == "POST":
        if request.headers["authorization"] != f"Bearer {env.TOKEN}":
            return Response.new("Forbidden", status=403)
        url = (await request.json())["url"]
        code = crypto.randomUUID()[:6]
        await env.DB.prepare("INSERT INTO links (code, url) VALUES (?, ?)").bind(code, url).run()
        return Response.new(JSON.stringify({"code": code}), status=201, headers={"content-type": "application/json"})
    if path == "/stats":
        found = await env.DB.prepare("SELECT url, hits FROM links ORDER BY hits DESC").all()
        return Response.json([dict(row) for row in found.results])
    link = await env.DB.prepare("SELECT url FROM links WHERE code = ?").bind(path[1:]).first()
    if link is None:
        return Response.new("Not found", status=404)
    update = env.DB.prepare("UPDATE links SET hits = hits + 1 WHERE code = ?").bind(path[1:])
    ctx.waitUntil(update.run())
    return Response.redirect(link.url, 302)
