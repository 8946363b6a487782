"""``_redirects``: ``from to [status]`` on each line. The first that matches counts, before any file.

https://developers.cloudflare.com/workers/static-assets/redirects/
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bindings.assets.rules.headers import Warn
from bindings.assets.rules.patterns import MAX_LINE_CHARS, Pattern, Problem, filled, has_host, url_of

MAX_STATIC, MAX_DYNAMIC = 2000, 100
STATUSES = (200, 301, 302, 303, 307, 308)
_EXTERNAL = re.compile(r"\w+://|//[^/\\\s?#]", re.ASCII)
_COMMENT = re.compile(r"\s+#.*$")


class Redirect(NamedTuple):
    """Where to; 200: answer with what is there."""

    to: str
    status: int


class RedirectRules:
    """``text``: the file's. A line that cannot be used is told to ``warn`` and counts for nothing."""

    def __init__(self, text: str = "", warn: Warn = lambda line, what: None, html: str = "") -> None:
        """``html``: the site's ``html_handling``."""
        self._static: dict[str, Redirect] = {}
        self._dynamic: list[tuple[Pattern, Redirect]] = []
        self._seen: set[str] = set()
        self._html = html
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._read(line.strip())
            except Problem as problem:
                warn(number, str(problem))

    def __bool__(self) -> bool:
        return bool(self._static or self._dynamic)

    def match(self, host: str, path: str) -> Redirect | None:
        if (found := self._static.get(path)) is not None:
            return found
        for pattern, redirect in self._dynamic:
            if (values := pattern.match(host, path)) is not None:
                return redirect._replace(to=_target(redirect.to, filled(redirect.to, values).strip()))
        return None

    def _read(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if len(line) > MAX_LINE_CHARS:
            raise Problem(f"is ignored: a line has {MAX_LINE_CHARS} characters at most")
        words = _COMMENT.sub("", line).split()
        if not 2 <= len(words) <= 3:
            raise Problem(f"must be  from to [status], not {len(words)} words")
        pattern, to = Pattern(url_of(words[0], relative=True)), url_of(words[1], whole=True)
        self._add(pattern, Redirect(to, self._status(words[2] if len(words) > 2 else "302", to)))

    def _status(self, word: str, to: str) -> int:
        status = int(word) if word.isascii() and word.isdigit() else 0
        if status not in STATUSES:
            raise Problem(f"the status must be 200, 301, 302 (as without one), 303, 307 or 308, not {word}")
        if status == 200 and has_host(to):
            raise Problem(f"200 can answer with what is here alone, not with {to}")
        return status

    def _add(self, pattern: Pattern, redirect: Redirect) -> None:
        path = pattern.text
        to_index = re.search(r"/index(.html)?$", redirect.to) and not has_host(redirect.to)
        if to_index and (path.endswith("/*") or (path.endswith("/") and self._html != "none")):
            raise Problem(f"{path} would lead to {redirect.to}, and that back again: it is ignored")
        if path in self._seen:
            raise Problem(f"{path} stands there twice: the first one counts")
        if pattern.is_static and not self._dynamic:  # once there is another, the order of the file decides
            if len(self._static) >= MAX_STATIC:
                raise Problem(f"is ignored: {MAX_STATIC} rules without * and :name are the most")
            self._static[path] = redirect
        elif len(self._dynamic) >= MAX_DYNAMIC:
            raise Problem(f"is ignored: from the first * or :name on, {MAX_DYNAMIC} rules are the most")
        else:
            self._dynamic.append((pattern, redirect))
        self._seen.add(path)


def _target(written: str, filled_in: str) -> str:
    """A path stays one, whatever stands for its placeholders: ``//host`` would lead away from here."""
    if _EXTERNAL.match(written):
        return filled_in
    path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", filled_in, re.DOTALL).groups()  # type: ignore[union-attr]
    return re.sub(r"[/\\]+", "/", path) + mark + rest


__all__ = ["Redirect", "RedirectRules"]
