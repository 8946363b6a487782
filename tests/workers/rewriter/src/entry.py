"""A static page, rewritten on its way: links made absolute, a title from KV, comments gone."""

from js import HTMLRewriter
from pyodide.ffi import create_proxy

from workers import WorkerEntrypoint


class Links:
    def element(self, element):
        href = element.getAttribute("href")
        if href.startswith("/"):
            element.setAttribute("href", "https://example.com" + href)
        element.setAttribute("rel", "noopener")


class Title:
    def __init__(self, title):
        self.title = title

    def element(self, element):
        element.setInnerContent(self.title)
        element.after("<meta name=made content=here>", {"html": True})


class Comments:
    def comments(self, comment):
        comment.remove()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        page = await self.env.ASSETS.fetch(request)
        if "text/html" not in (page.headers.get("content-type") or ""):
            return page
        title = await self.env.SETTINGS.get("title") or "Untitled <1>"
        rewriter = HTMLRewriter.new().on("a[href]", create_proxy(Links())).on("title", create_proxy(Title(title)))
        return rewriter.on("*", create_proxy(Comments())).transform(page.js_object)
