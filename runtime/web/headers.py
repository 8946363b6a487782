"""Headers: an ordered list of (name, value) pairs whose names ignore case. Fetch standard, section 2.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

RawHeaders = list[tuple[bytes, bytes]]

_OF_A_MESSAGE = frozenset((
    "get_boundary", "get_charset", "get_content_charset", "get_content_disposition", "get_content_maintype",
    "get_content_subtype", "get_content_type", "get_filename", "get_param", "get_params", "as_string", "raw_items",
))  # fmt: skip
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\0\r\n]")


class Headers:
    """HTTP headers. ``Headers({"accept": "text/html"})``, ``Headers([("a", "1"), ("a", "2")])``, or a copy.

    As in the Fetch standard, ``get`` joins several values with ``", "`` and iterating yields each name once,
    in lower case and sorted. Where Python habit differs from JavaScript: iterating yields *names*, as a dict
    does (``items()`` yields pairs, with one pair for every Set-Cookie), and an ``int`` is accepted as a value. As with
    the SDK's, which are an ``http.client.HTTPMessage``, ``headers["x"]`` is None for a missing name, ``del`` of one is
    nothing, and that class's methods are here.

    Raises ``TypeError`` for a name or value that HTTP cannot carry, and for any change to headers that are
    not yours to change (an incoming request's, a redirect's): copy them with ``Headers(other)``.
    """

    __slots__ = ("_frozen", "_pairs")

    def __init__(self, init: object = None) -> None:
        self._frozen = False
        self._pairs: RawHeaders = []
        if init is not None:
            self.update(init)

    @classmethod
    def from_raw(cls, pairs: Iterable[Iterable[bytes]], *, frozen: bool = False) -> Headers:
        """Headers that a peer sent: bytes pairs, taken on trust. ``frozen`` ones refuse changes."""
        self = cls.__new__(cls)
        self._frozen = frozen
        self._pairs = [(name.lower(), value) for name, value in pairs]
        return self

    def raw(self) -> RawHeaders:
        """The pairs for the wire: lower-case names, latin-1, in the order they were added."""
        return self._pairs.copy()

    def get(self, name: str, default: str | None = None) -> str | None:
        """All values of ``name`` joined with ``", "``, or ``default``."""
        key = _encoded_name(name)
        values = [value for known, value in self._pairs if known == key]
        return b", ".join(values).decode("latin-1") if values else default

    def get_all(self, name: str, failobj: list[str] | None = None) -> list[str] | None:
        """Each value of ``name`` by itself; ``failobj`` where there is none."""
        return self.getAll(name) or failobj

    def getAll(self, name: str) -> list[str]:
        """The same; an empty list where there is none. (The standard has this for Set-Cookie only.)"""
        key = _encoded_name(name)
        return [value.decode("latin-1") for known, value in self._pairs if known == key]

    def get_set_cookie(self) -> list[str]:
        """Each Set-Cookie value: they cannot be joined, because a cookie may hold a comma."""
        return self.getAll("set-cookie")

    def has(self, name: str) -> bool:
        key = _encoded_name(name)
        return key in [known for known, _ in self._pairs]

    def set(self, name: str, value: object) -> None:
        """Replace every value of ``name``. It keeps the place of the first."""
        pair = self._pair(name, value)
        places = [i for i, (known, _) in enumerate(self._pairs) if known == pair[0]]
        if not places:
            self._pairs.append(pair)
            return
        self._pairs[places[0]] = pair
        for i in reversed(places[1:]):
            del self._pairs[i]

    def append(self, name: str, value: object) -> None:
        """Add a value to those that ``name`` has."""
        self._pairs.append(self._pair(name, value))

    def delete(self, name: str) -> None:
        """Remove every value of ``name``; nothing happens when there is none."""
        self._check_mutable()
        key = _encoded_name(name)
        self._pairs = [pair for pair in self._pairs if pair[0] != key]

    def update(self, init: object) -> None:
        """Set from a mapping; append from pairs or other Headers."""
        if isinstance(init, Headers):
            self._check_mutable()
            self._pairs.extend(init._pairs)
        elif hasattr(init, "items"):
            for name, value in init.items():
                self.set(name, value)
        else:
            self._append_pairs(init)

    def keys(self) -> list[str]:
        """The names, each once, sorted."""
        return sorted({name.decode("latin-1") for name, _ in self._pairs})

    def items(self) -> list[tuple[str, str]]:
        """(name, joined value) pairs, sorted by name; one pair for every Set-Cookie."""
        pairs: list[tuple[str, str]] = []
        for name in self.keys():
            values = self.getAll(name)
            pairs += [(name, v) for v in values] if name == "set-cookie" else [(name, ", ".join(values))]
        return pairs

    def values(self) -> list[str]:
        return [value for _, value in self.items()]

    def _append_pairs(self, init: object) -> None:
        if isinstance(init, (str, bytes)) or not isinstance(init, Iterable):
            kind = type(init).__name__
            raise TypeError(f"Received unexpected type for headers argument: {kind}; it is a dict, Headers or pairs")
        for pair in init:
            name, value = _as_pair(pair)
            self.append(name, value)

    def _pair(self, name: str, value: object) -> tuple[bytes, bytes]:
        self._check_mutable()
        key = _encoded_name(name)
        return key, _encoded_value(name, value)

    def _check_mutable(self) -> None:
        if self._frozen:
            raise TypeError("these headers cannot be changed; copy them first: Headers(other)")

    def __getitem__(self, name: str) -> str | None:
        return self.get(name)

    def __setitem__(self, name: str, value: object) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len({name for name, _ in self._pairs})

    def __eq__(self, other: object) -> bool:
        return self.items() == other.items() if isinstance(other, Headers) else NotImplemented

    def __getattr__(self, name: str) -> object:
        """``get_content_type``, ``get_param`` and the rest of ``HTTPMessage``, which is made for it."""
        if name not in _OF_A_MESSAGE:
            raise AttributeError(f"Headers has no {name!r}")
        from http.client import HTTPMessage  # email's parser with it

        message = HTTPMessage()
        for key, value in self.items():
            message.add_header(key, value)
        found: object = getattr(message, name)
        return found

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    add_header = append
    replace_header = set
    getSetCookie = get_set_cookie
    entries = items


Mapping.register(Headers)


@lru_cache(maxsize=1024)
def _encoded_name(name: str) -> bytes:
    """The name as the wire has it. Cached: a worker uses the same few names all day."""
    raw = name.encode("latin-1", "replace") if isinstance(name, str) else b""
    if not _TOKEN.fullmatch(raw):
        raise TypeError(f"invalid header name: {name!r}")
    return raw.lower()


def _encoded_value(name: str, value: object) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"header {name!r} must be a str, not {type(value).__name__}: {value!r:.80}")
    try:
        raw = (value.encode("latin-1") if isinstance(value, str) else value).strip(b" \t\r\n")
    except UnicodeEncodeError:
        what = f"header {name!r} has characters beyond latin-1; percent-encode them: {value!r:.80}"
        raise TypeError(what) from None
    if _FORBIDDEN_IN_VALUE.search(raw):
        raise TypeError(f"header {name!r} may not contain CR, LF or NUL: {value!r:.80}")
    return raw


def _as_pair(pair: object) -> tuple[Any, Any]:
    parts = () if isinstance(pair, (str, bytes)) or not isinstance(pair, Iterable) else tuple(pair)
    if len(parts) != 2:
        raise TypeError(f"each header must be a (name, value) pair, not {pair!r:.80}")
    return parts[0], parts[1]
