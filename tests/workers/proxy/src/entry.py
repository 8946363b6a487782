"""Passes requests on to another server, with its own headers, and keeps the answers in the cache."""

from js import URL, Headers, Request, Response, caches, fetch


async def on_fetch(request, env, ctx):
    url = URL.new(request.url)
    target = URL.new(url.pathname + url.search, env.ORIGIN)
    if request.method == "GET":
        found = await caches.default.match(request.url)
        if found:
            found = Response.new(found.body, found)
            found.headers.set("x-cache", "HIT")
            return found
    headers = Headers.new(request.headers)
    headers.set("x-forwarded-host", url.host)
    headers.delete("cookie")
    answer = await fetch(Request.new(target.href, method=request.method, headers=headers, body=request.body))
    if request.method == "GET" and answer.ok:
        copy = Response.new(answer.clone().body, answer)
        copy.headers.set("cache-control", "max-age=60")
        ctx.waitUntil(caches.default.put(request.url, copy))
    return answer
