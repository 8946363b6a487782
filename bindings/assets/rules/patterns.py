"""Where a rule of ``_headers`` or ``_redirects`` applies: ``/blog/*``, ``/users/:name``, ``https://:sub.example.com/*``.

https://developers.cloudflare.com/workers/static-assets/headers/#match-a-path
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.web import URL

MAX_LINE_CHARS = 2000
PLACEHOLDER = re.compile(r":([A-Za-z]\w*)", re.ASCII)
_HTTPS = re.compile(r"https://+([^/]+)/?(.*)")


class Problem(Exception):
    """What is wrong with a line."""


class Pattern:
    """Raises ``Problem`` for what cannot be matched."""

    def __init__(self, text: str) -> None:
        self.text, self.is_static = text, "*" not in text and not PLACEHOLDER.search(_path(text))
        self._of_host = text.startswith("https://")
        host, slash, path = text.removeprefix("https://").partition("/") if self._of_host else ("", "", text)
        prefix = "https://" + _expression(host, "[^/.]+") + slash if self._of_host else ""
        try:
            self._expression = re.compile(prefix + _expression(path, "[^/]+"), re.DOTALL)
        except re.error as error:
            raise Problem(f"{text} cannot be matched: {error}") from None

    def match(self, host: str, path: str) -> Mapping[str, str] | None:
        """What its placeholders stand for. ``host`` without its port."""
        found = self._expression.fullmatch(f"https://{host}{path}" if self._of_host else path)
        return None if found is None else found.groupdict()


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with its placeholders replaced, ``:splat`` among them."""
    for name, value in values.items():
        text = text.replace(f":{name}", value)
    return text


def has_host(text: str) -> bool:
    return _HTTPS.match(text) is not None


def url_of(text: str, *, relative: bool = False, ports: bool = True, whole: bool = False) -> str:
    """A rule's URL, its path as the URL standard writes it. ``relative``: no host is allowed; ``ports``: may the host
    have one; ``whole``: with query and fragment. Raises ``Problem``."""
    if (found := _HTTPS.match(text)) is not None:
        if relative:
            raise Problem(f"{text} has a host, which is not allowed here: write the path alone")
        if not ports and re.search(r":\d+$", found[1]):
            raise Problem(f"{text} has a port, which is not supported")
        return f"https://{found[1]}{_normal('/' + found[2].lstrip('/'), whole)}"
    if not text.startswith("/"):
        if not relative:
            raise Problem(f"{text} is no path (/…) and no address (https://…)")
        text = f"/{text}"
    return _normal(text, whole)


def _normal(path: str, whole: bool) -> str:
    try:
        url = URL(f"http://relative{path}")
    except (TypeError, ValueError):
        raise Problem(f"{path} is no path") from None
    return f"{url.pathname}{url.search + url.hash if whole else ''}"


def _path(text: str) -> str:
    return text.removeprefix("https:")


def _expression(text: str, placeholder: str) -> str:
    """A regular expression: ``*`` is the group ``splat``, ``:name`` the group ``name``."""
    parts = []
    for piece in re.split(r"(\*|:[A-Za-z]\w*)", text, flags=re.ASCII):
        if piece == "*":
            parts.append("(?P<splat>.*)")
        elif PLACEHOLDER.fullmatch(piece):
            parts.append(f"(?P<{piece[1:]}>{placeholder})")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


__all__ = ["MAX_LINE_CHARS", "Pattern", "Problem", "filled", "has_host", "url_of"]
