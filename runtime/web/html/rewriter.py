"""``HTMLRewriter().on("a[href]", handler).transform(response)``."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from runtime.web.headers import Headers
from runtime.web.html.nodes import Comment, Doctype, DocumentEnd, Element, EndTag, Handler, Text, values_of
from runtime.web.html.selectors import Matches, Open, compiled
from runtime.web.html.tokens import VOID, Token, Tokenizer
from runtime.web.response import Response
from runtime.web.streams import ReadableStream

_MAX_DEPTH = 10_000  # elements in one another
Handlers = Any  # an object or a mapping with ``element``, ``comments`` and ``text``; plain or async


class HTMLRewriter:
    """One can transform many responses. A handler that raises ends the body with what it raised."""

    def __init__(self) -> None:
        self._elements: list[tuple[Matches, Handlers]] = []
        self._documents: list[Handlers] = []

    def on(self, selector: str, handlers: Handlers = None, **functions: Handler) -> HTMLRewriter:
        """Raises TypeError for a selector that cannot be used."""
        self._elements.append((compiled(selector), functions if handlers is None else handlers))
        return self

    def onDocument(self, handlers: Handlers = None, **functions: Handler) -> HTMLRewriter:
        self._documents.append(functions if handlers is None else handlers)
        return self

    def transform(self, response: Response) -> Response:
        """A response with the same status and headers; its body is changed while it passes."""
        headers = Headers(response.headers)
        headers.delete("content-length")
        body = response.body
        made = None if body is None else ReadableStream(self._rewritten(body))
        return Response(made, status=response.status, status_text=response.status_text, headers=headers)

    async def _rewritten(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        page, tokenizer = _Page(self._elements, self._documents), Tokenizer()
        async with aclosing(aiter(body)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                for token in tokenizer.tokens(chunk):
                    await page.read(token)
                if text := page.written():
                    yield text.encode()
        for token in tokenizer.last():
            await page.read(token)
        await page.end()
        yield page.written().encode()


class _Page:
    """One document on its way through."""

    def __init__(self, elements: list[tuple[Matches, Handlers]], documents: list[Handlers]) -> None:
        self._elements, self._documents = elements, documents
        self._root = Open("", {})
        self._path: list[tuple[Open, Element, list[Handlers]]] = []
        self._hidden = 0  # elements, outermost first, whose content is gone
        self._in_text = False
        self._out: list[str] = []

    def written(self) -> str:
        out, self._out = self._out, []
        return "".join(out)

    async def read(self, token: Token) -> None:
        if token.kind == "text":
            self._in_text = True
            return await self._text(Text(token.source))
        await self._end_text()
        if token.kind == "start":
            await self._start(token)
        elif token.kind == "end":
            await self._end(token)
        elif token.kind == "comment":
            await self._comment(token)
        else:
            if token.kind == "doctype":
                await self._tell(self._documents, "doctype", Doctype(token))
            self._write(token.source)

    async def end(self) -> None:
        await self._end_text()
        while self._path:
            await self._closed(None)
        last = DocumentEnd()
        await self._tell(self._documents, "end", last)
        self._out += last.added

    async def _start(self, token: Token) -> None:
        parent = self._path[-1][0] if self._path else self._root
        node = parent.added(token.name, values_of(token))
        element = Element(token, token.name in VOID or token.closed)
        path = [*(one for one, _, _ in self._path), node]
        mine = [handlers for matches, handlers in self._elements if matches(path, len(path) - 1)]
        await self._tell(mine, "element", element)
        self._write(element.opening())
        if element.void:
            return
        if len(self._path) >= _MAX_DEPTH:
            raise TypeError(f"Parser error: more than {_MAX_DEPTH} elements stand in one another")
        self._path.append((node, element, mine))
        self._hidden += not element.keeps_content

    async def _end(self, token: Token) -> None:
        if not any(node.tag == token.name for node, _, _ in self._path):
            return self._write(token.source)  # the end of nothing
        while self._path[-1][0].tag != token.name:
            await self._closed(None)
        await self._closed(token)

    async def _closed(self, token: Token | None) -> None:
        """The innermost element is over; without a token its end tag has been left out."""
        _, element, _ = self._path.pop()
        self._hidden -= not element.keeps_content
        end = EndTag(token or Token("end", "", element.tagName))
        if token is not None and element.renamed:
            end.name = element.tagName
        if token is not None:
            for handler in element.at_end:
                await _called(handler, end)
        self._write(element.closing(end.rendered()))

    async def _comment(self, token: Token) -> None:
        comment = Comment(token)
        await self._tell(self._within(), "comments", comment)
        await self._tell(self._documents, "comments", comment)
        self._write(comment.rendered())

    async def _text(self, text: Text) -> None:
        await self._tell(self._within(), "text", text)
        await self._tell(self._documents, "text", text)
        self._write(text.rendered())

    async def _end_text(self) -> None:
        if self._in_text:
            self._in_text = False
            await self._text(Text("", last=True))

    def _within(self) -> list[Handlers]:
        """Those of all elements that what comes stands in."""
        found: list[Handlers] = []
        for _, _, mine in self._path:
            found += [handlers for handlers in mine if not any(handlers is one for one in found)]
        return found

    async def _tell(self, handlers: list[Handlers], name: str, subject: object) -> None:
        for one in handlers:
            handler = one.get(name) if isinstance(one, Mapping) else getattr(one, name, None)
            if handler is not None and not self._hidden:
                await _called(handler, subject)

    def _write(self, text: str) -> None:
        if text and not self._hidden:
            self._out.append(text)


async def _called(handler: Handler, subject: object) -> None:
    done = handler(subject)
    if inspect.isawaitable(done):
        await done


__all__ = ["HTMLRewriter"]
