"""URL and URLSearchParams (URL standard), on ada, the parser that Node and workerd use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import ada_url

from runtime.web.pairs import Pairs


def parse(url: object, base: object = None) -> ada_url.URL:
    """Parse, or raise ``TypeError`` as the standard has it."""
    try:
        return ada_url.URL(str(url), None if base is None else str(base))
    except ValueError:
        pass
    relative = base is None and "://" not in str(url)
    hint = "; a relative one needs a base: URL(path, request.url)" if relative else ""
    raise TypeError(f"invalid URL: {str(url)!r:.200}{hint}")


class URLSearchParams(Pairs[str]):
    """The query of a URL: ``URLSearchParams("a=1&b=2")``, from a dict or pairs. ``str()`` encodes it."""

    def __init__(self, init: object = "") -> None:
        super().__init__()
        self._owner: Callable[[str], None] | None = None
        self._pairs = [(str(name), str(value)) for name, value in _pairs(init)]

    @property
    def size(self) -> int:
        return len(self)

    def append(self, name: str, value: object) -> None:
        super().append(name, str(value))

    def set(self, name: str, value: object) -> None:
        super().set(name, str(value))

    def sort(self) -> None:
        """By name, in UTF-16 order; pairs with the same name keep their order."""
        self._pairs.sort(key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        self._changed()

    def to_string(self) -> str:
        encoder = ada_url.URLSearchParams("")
        for name, value in self._pairs:
            encoder.append(name, value)
        return str(encoder)

    def __str__(self) -> str:
        return self.to_string()

    def _changed(self) -> None:
        if self._owner is not None:
            self._owner(str(self))

    toString = to_string


class URL:
    """``URL("https://example.com/a?b=c")`` or ``URL("/a", base)``. Raises ``TypeError`` when it is no URL.

    The parts can be read and assigned as in the standard: ``href``, ``protocol`` (with its colon),
    ``username``, ``password``, ``host``, ``hostname``, ``port``, ``pathname``, ``search``, ``hash``;
    ``origin`` can be read. ``search_params`` writes through. A part that does not fit is ignored.
    """

    __slots__ = ("_params", "_url")
    params_type: ClassVar[type[URLSearchParams]] = URLSearchParams

    def __init__(self, url: object, base: object = None) -> None:
        self._url = parse(url, base)
        self._params: URLSearchParams | None = None

    @staticmethod
    def can_parse(url: object, base: object = None) -> bool:
        return bool(ada_url.URL.can_parse(str(url), None if base is None else str(base)))

    @staticmethod
    def parse(url: object, base: object = None) -> URL | None:
        """As ``URL(url, base)``, but None for what is no URL."""
        return URL(url, base) if URL.can_parse(url, base) else None

    @property
    def origin(self) -> str:
        return self._url.origin

    @property
    def search_params(self) -> URLSearchParams:
        if self._params is None:
            self._params = self.params_type(self._url.search)
            self._params._owner = lambda query: _assign(self._url, "search", query)
        return self._params

    def to_string(self) -> str:
        return self._url.href

    def to_json(self) -> str:
        return self._url.href

    def __str__(self) -> str:
        return self._url.href

    def __repr__(self) -> str:
        return f"URL({self._url.href!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, URL) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def _write(self, part: str, value: object) -> None:
        if part == "href":
            self._url = parse(value)
        else:
            _assign(self._url, part, str(value))
        if self._params is not None and part in ("href", "search"):
            self._params._pairs = _pairs(self._url.search)

    canParse = can_parse
    searchParams = search_params
    toString = to_string
    toJSON = to_json

    href = property(lambda self: self._url.href, lambda self, value: self._write("href", value))
    protocol = property(lambda self: self._url.protocol, lambda self, value: self._write("protocol", value))
    username = property(lambda self: self._url.username, lambda self, value: self._write("username", value))
    password = property(lambda self: self._url.password, lambda self, value: self._write("password", value))
    host = property(lambda self: self._url.host, lambda self, value: self._write("host", value))
    hostname = property(lambda self: self._url.hostname, lambda self, value: self._write("hostname", value))
    port = property(lambda self: self._url.port, lambda self, value: self._write("port", value))
    pathname = property(lambda self: self._url.pathname, lambda self, value: self._write("pathname", value))
    search = property(lambda self: self._url.search, lambda self, value: self._write("search", value))
    hash = property(lambda self: self._url.hash, lambda self, value: self._write("hash", value))


def _assign(url: ada_url.URL, part: str, value: str) -> None:
    try:
        setattr(url, part, value)
    except ValueError:
        return  # as in the standard: an assignment that does not parse changes nothing


def _decoded(query: str) -> list[tuple[str, str]]:
    """Its pairs; what is no UTF-8 becomes U+FFFD."""
    try:
        return list(ada_url.URLSearchParams(query).items())
    except UnicodeDecodeError:
        from urllib.parse import parse_qsl  # for queries that hardly anybody sends

        return parse_qsl(query, keep_blank_values=True)


def _pairs(init: object) -> list[tuple[str, Any]]:
    if isinstance(init, str):
        return _decoded(init.removeprefix("?"))
    if hasattr(init, "items"):
        return list(init.items())
    if isinstance(init, Iterable) and not isinstance(init, bytes):
        return [(name, value) for name, value in init]
    raise TypeError(f"URLSearchParams takes a str, a dict or pairs, not {type(init).__name__}")
