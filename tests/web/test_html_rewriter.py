"""HTMLRewriter: what nobody changes leaves as it came, in whatever pieces it comes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.web import Response
from runtime.web.html.rewriter import HTMLRewriter

PAGE = """<!DOCTYPE html>
<html lang=en><HEAD><title>A &amp; B</title><meta charset="utf-8"></head>
<body class="x y"><!-- c --><p id=a>Hi <b>there</b> &lt; <br>x<img src="/i.png"/></p><p>two</p>
<script>if (a<b) {"</p>"}</script><style>p > a {}</style><textarea><b></textarea>é — 🔥
<ul><li>one<li>two</ul><?php x ?><![CDATA[y]]></a></body></html>"""


async def rewritten(rewriter: HTMLRewriter, page: str = PAGE, size: int = 7) -> str:
    data = page.encode()

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    return await rewriter.transform(Response(body())).text()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
async def test_an_untouched_page_leaves_as_it_came(size: int) -> None:
    assert await rewritten(HTMLRewriter(), PAGE, size) == PAGE
    assert await rewritten(HTMLRewriter().on("*", element=lambda element: None), PAGE, size) == PAGE


async def test_pages_that_are_none_leave_as_they_came() -> None:
    chance = random.Random(7)
    pieces = [
        "<",
        ">",
        "</",
        "<!--",
        "-->",
        "<!",
        "&",
        "a",
        " b=",
        '"',
        "'",
        "/",
        "<p>",
        "</p>",
        "<br/>",
        "é",
        "<script>",
    ]
    for _ in range(300):
        page = "".join(chance.choices(pieces, k=20))
        assert await rewritten(HTMLRewriter(), page, chance.randint(1, 9)) == page


CHANGES: dict[str, tuple[HTMLRewriter, str]] = {
    "an attribute": (
        HTMLRewriter().on("a", element=lambda e: e.setAttribute("href", f'https:{e.getAttribute("href")}"')),
        '<a href="https://x&quot;" b=c>t</a><p>u</p>',
    ),
    "one less": (HTMLRewriter().on("a[b=c]", element=lambda e: e.removeAttribute("B")), '<a href="//x">t</a><p>u</p>'),
    "text around": (
        HTMLRewriter().on("p", element=lambda e: e.before("<1>").after("4").prepend("2", {"html": True}).append("3")),
        '<a href="//x" b=c>t</a>&lt;1&gt;<p>2u3</p>4',
    ),
    "its inside": (
        HTMLRewriter().on("p", element=lambda e: e.setInnerContent("<i>", html=True)),
        '<a href="//x" b=c>t</a><p><i></p>',
    ),
    "another": (HTMLRewriter().on("p", element=lambda e: e.replace("P")), '<a href="//x" b=c>t</a>P'),
    "gone": (HTMLRewriter().on("a", element=lambda e: e.remove()), "<p>u</p>"),
    "unwrapped": (HTMLRewriter().on("a", element=lambda e: e.removeAndKeepContent()), "t<p>u</p>"),
    "renamed": (
        HTMLRewriter().on("p", element=lambda e: setattr(e, "tagName", "h1")),
        '<a href="//x" b=c>t</a><h1>u</h1>',
    ),
    "its end": (
        HTMLRewriter().on("p", element=lambda e: e.onEndTag(lambda end: end.before("!").after("?"))),
        '<a href="//x" b=c>t</a><p>u!</p>?',
    ),
    "a text": (
        HTMLRewriter().on("p", text=lambda t: t.text and t.replace(t.text.upper())),
        '<a href="//x" b=c>t</a><p>U</p>',
    ),
    "the end of all": (
        HTMLRewriter().onDocument(end=lambda e: e.append("<end>", html=True)),
        '<a href="//x" b=c>t</a><p>u</p><end>',
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_changes(change: str) -> None:
    rewriter, wanted = CHANGES[change]
    assert await rewritten(rewriter, '<a href="//x" b=c>t</a><p>u</p>') == wanted


SELECTORS = {
    "*": "html body div p b p a a p",
    "p": "p p p",
    "div > p": "p p",
    "div p": "p p",
    "body > p": "p",
    "p.y": "p",
    "#one": "p",
    "[href]": "a a",
    "a[href='/x']": "a",
    "a[href^='/']": "a a",
    "a[href$='y']": "a",
    "a[href*='z']": "",
    "[class~=x]": "p",
    "[lang|=en]": "div",
    "p:nth-child(2)": "p p",
    "p:first-child": "p",
    "a:nth-of-type(2)": "a",
    "p:not(.y)": "p p",
    "a, b": "b a a",
    "p b": "b",
    "div:first-of-type": "div",
    "p:nth-child(odd)": "p",
}
TREE = (
    '<html><body><div lang="en-GB"><p class="x y" id="one"><b>1</b></p><p>2</p>'
    '<a href="/x">3</a><a href="/y">4</a></div><p>5</p></body></html>'
)


@pytest.mark.parametrize("selector", SELECTORS)
async def test_selectors(selector: str) -> None:
    seen: list[str] = []
    await rewritten(HTMLRewriter().on(selector, element=lambda element: seen.append(element.tagName)), TREE)
    assert " ".join(seen) == SELECTORS[selector]


@pytest.mark.parametrize("selector", ["a + b", "a ~ b", "p:last-child", "p::before", "[", "p:hover", ""])
def test_selectors_that_cannot_be(selector: str) -> None:
    with pytest.raises(TypeError, match="Parser error"):
        HTMLRewriter().on(selector, {})


async def test_handlers_may_be_objects_and_async_and_see_what_there_is() -> None:
    class Seen:
        def __init__(self) -> None:
            self.what: list[Any] = []

        async def element(self, element: Any) -> None:
            self.what.append((element.tagName, list(element.attributes)))

        async def comments(self, comment: Any) -> None:
            self.what.append(comment.text)
            comment.text = "new"

        def text(self, text: Any) -> None:
            self.what.append((text.text, text.lastInTextNode))

        def doctype(self, doctype: Any) -> None:
            self.what.append((doctype.name, doctype.publicId))

    seen = Seen()
    page = "<!doctype html><p a=1>x<!-- old --></p>"
    assert await rewritten(HTMLRewriter().on("p", seen).onDocument({"doctype": seen.doctype}), page, 99) == (
        "<!doctype html><p a=1>x<!--new--></p>"
    )
    assert seen.what == [("html", None), ("p", [["a", "1"]]), ("x", False), ("", True), " old "]


async def test_headers_stay_but_the_length_and_a_handlers_error_ends_the_body() -> None:
    made = HTMLRewriter().transform(Response("<p>", status=201, headers={"content-length": "3", "x": "y"}))
    assert (made.status, made.headers.get("x"), made.headers.get("content-length")) == (201, "y", None)

    def fails(element: Any) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await rewritten(HTMLRewriter().on("p", element=fails))
    assert HTMLRewriter().transform(Response(None, status=204)).body is None


async def test_what_nobody_changes_of_a_tag_stays_as_it_was_written() -> None:
    def changes(element: Any) -> None:
        element.setAttribute("k", element.getAttribute("href"))
        element.setAttribute("TITLE", "new").removeAttribute("gone")

    page = "<A Href='?a=1&amp;b=2' HREF=x disabled Title=old gone c = 'd' e=f/>t</A>"
    assert await rewritten(HTMLRewriter().on("a", element=changes), page) == (
        "<A Href='?a=1&amp;b=2' HREF=x disabled Title=\"new\" c = 'd' e=f/ k=\"?a=1&amp;b=2\">t</A>"
    )


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a>", "a/"])
async def test_names_that_no_attribute_can_have(name: str) -> None:
    with pytest.raises(TypeError, match=r"Parser error: .*name"):
        await rewritten(HTMLRewriter().on("p", element=lambda element: element.setAttribute(name, "v")), "<p>")


async def test_an_entity_is_part_of_its_text() -> None:
    seen: list[str] = []
    await rewritten(
        HTMLRewriter().on("p", text=lambda text: seen.append(text.text)), "<p>a &amp; b&lt;&#65;<b>c</b></p>", 99
    )
    assert seen == ["a &amp; b&lt;&#65;", "", "c", ""]
