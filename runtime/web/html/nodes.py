"""What a handler is given: it says what shall stand in the place of what came."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from runtime.web.html.tokens import Attribute, Token, doctype

_NOT_IN_NAMES = re.compile(r"[ \n\r\t\f/>=]")
Handler = Callable[[Any], object]  # plain, or it gives an awaitable


def content(text: object, options: Mapping[str, Any] | None, html_: bool) -> str:
    """Text is escaped unless ``html`` says that it is HTML."""
    if not isinstance(text, str):
        raise TypeError(f"content must be str, not {type(text).__name__}")
    return text if html_ or (options or {}).get("html") else html.escape(text, quote=False)


class Node:
    """Something that can be replaced, and have something before and after it."""

    def __init__(self, source: str) -> None:
        self._source: str | None = source  # None: something else stands here
        self._before: list[str] = []
        self._after: list[str] = []
        self._instead = ""
        self.removed = False

    def before(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self._before.append(content(text, options, html))
        return self

    def after(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self._after.insert(0, content(text, options, html))
        return self

    def replace(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self._instead, self.removed = content(text, options, html), True
        return self

    def remove(self) -> Self:
        self.removed = True
        return self

    def rendered(self) -> str:
        middle = self._instead if self.removed else self._written()
        return "".join((*self._before, middle, *self._after))

    def _written(self) -> str:
        return self._source or ""


class Text(Node):
    """A part of a text; ``lastInTextNode``: an empty one, at its end. ``text`` is as it was written."""

    def __init__(self, text: str, *, last: bool = False) -> None:
        super().__init__(text)
        self.text, self.lastInTextNode = text, last


class Comment(Node):
    def __init__(self, token: Token) -> None:
        super().__init__(token.source)
        self._text = token.name

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, value: str) -> None:
        self._text, self._source = value, f"<!--{value}-->"


class Doctype:
    """Of the document; it cannot be changed."""

    def __init__(self, token: Token) -> None:
        self.name, self.publicId, self.systemId = doctype(token.name)


class EndTag(Node):
    def __init__(self, token: Token) -> None:
        super().__init__(token.source)
        self._name = token.name

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name, self._source = value, f"</{value}>"


class DocumentEnd:
    def __init__(self) -> None:
        self.added: list[str] = []

    def append(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self.added.append(content(text, options, html))
        return self


class Element(Node):
    """``void``: it has no end tag, and so no content. A handler of its end tag is kept in ``at_end``."""

    namespaceURI = "http://www.w3.org/1999/xhtml"

    def __init__(self, token: Token, void: bool) -> None:
        super().__init__(token.source)
        self._tag, self._attributes, self._token = token.name, list(token.attributes), token
        self.void, self.keeps_content, self.at_end = void, True, list[Handler]()
        self.first: list[str] = []  # in front of its content
        self.last: list[str] = []  # behind it

    @property
    def tagName(self) -> str:
        return self._tag

    @tagName.setter
    def tagName(self, value: str) -> None:
        self._tag, self._source = value, None

    @property
    def renamed(self) -> bool:
        return self._tag != self._token.name

    @property
    def attributes(self) -> Iterator[list[str]]:
        return iter([[name, value] for name, value, _ in self._attributes])

    def getAttribute(self, name: str) -> str | None:
        """Entities in it are as they were written."""
        wanted = name.lower()
        return next((one.value for one in self._attributes if one.name == wanted), None)

    def hasAttribute(self, name: str) -> bool:
        return self.getAttribute(name) is not None

    def setAttribute(self, name: str, value: str) -> Self:
        """Raises TypeError for what cannot be the name of one."""
        lower, text = _checked(name).lower(), str(value)
        quoted = f'"{text.replace(chr(34), "&quot;")}"'
        at = next((at for at, one in enumerate(self._attributes) if one.name == lower), None)
        if at is None:
            self._attributes.append(Attribute(lower, text, f"{lower}={quoted}"))
        else:
            written = self._attributes[at].source[: len(lower)]
            self._attributes[at] = Attribute(lower, text, f"{written}={quoted}")
        self._source = None
        return self

    def removeAttribute(self, name: str) -> Self:
        if self.hasAttribute(name):
            self._attributes = [one for one in self._attributes if one.name != name.lower()]
            self._source = None
        return self

    def prepend(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self.first.insert(0, content(text, options, html))
        return self

    def append(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self.last.append(content(text, options, html))
        return self

    def setInnerContent(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self.first, self.last, self.keeps_content = [content(text, options, html)], [], False
        return self

    def replace(self, text: object, options: Mapping[str, Any] | None = None, *, html: bool = False) -> Self:
        self.keeps_content = False
        super().replace(text, options, html=html)
        return self

    def remove(self) -> Self:
        self.removed, self.keeps_content = True, False
        return self

    def removeAndKeepContent(self) -> Self:
        self.removed = True
        return self

    def onEndTag(self, handler: Handler) -> None:
        """Raises TypeError for an element that has none."""
        if self.void:
            raise TypeError("Parser error: No end tag.")
        self.at_end.append(handler)

    def opening(self) -> str:
        """What stands before its content."""
        start = self._instead if self.removed else self._written()
        alone = self._after if self.void else []
        return "".join((*self._before, start, *([] if self.void or self._gone else self.first), *alone))

    def closing(self, end: str) -> str:
        """What stands behind it; ``end`` is its end tag, or "" where that never came."""
        return "".join((*([] if self._gone else self.last), "" if self.removed else end, *self._after))

    @property
    def _gone(self) -> bool:
        return self.removed and not self.keeps_content

    def _written(self) -> str:
        if self._source is not None:
            return self._source
        tag = self._tag if self.renamed else self._token.source[1 : 1 + len(self._tag)]
        each = "".join(f" {one.source}" for one in self._attributes)
        return f"<{tag}{each}{' /' if self._token.closed else ''}>"


def values_of(token: Token) -> dict[str, str]:
    """By name; of attributes with one name the first counts."""
    return {name: value for name, value, _ in reversed(token.attributes)}


def _checked(name: str) -> str:
    if not name:
        raise TypeError("Parser error: Attribute name can't be empty.")
    if found := _NOT_IN_NAMES.search(name):
        raise TypeError(f"Parser error: `{found[0]}` character is forbidden in the attribute name")
    return name


__all__ = ["Comment", "Doctype", "DocumentEnd", "Element", "EndTag", "Node", "Text", "values_of"]
