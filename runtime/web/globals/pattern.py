"""URLPattern: which URLs, and the parts of one. URL Pattern standard, as Deno's implementation (Rust) has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import urlpattern

_PARTS = ("protocol", "username", "password", "hostname", "port", "pathname", "search", "hash")


class URLPattern:
    """``URLPattern("/books/:id", "https://example.com")`` or ``URLPattern({"pathname": "/books/:id"})``.

    Raises ``TypeError`` for a pattern that is none.
    """

    def __init__(
        self, input: str | Mapping[str, str] | None = None, base: str | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None, **parts: object,
    ) -> None:  # fmt: skip
        """Keywords are the parts of a pattern that is given without ``input``, and options of one that is."""
        if input is None:
            input, parts = {key: str(value) for key, value in parts.items() if key in _PARTS or key == "baseURL"}, {}
        if isinstance(base, Mapping):
            base, options = None, base
        arguments = [*_arguments(input, base), {**(options or {}), **parts}]
        try:
            self._pattern = urlpattern.URLPattern(*arguments)
        except ValueError as error:
            raise TypeError(f"Failed to construct 'URLPattern': {error}") from None

    def test(self, input: str | Mapping[str, str] | None = None, base: str | None = None) -> bool:
        return self.exec(input, base) is not None

    def exec(self, input: str | Mapping[str, str] | None = None, base: str | None = None) -> dict[str, Any] | None:
        """``{"inputs": […], "pathname": {"input": …, "groups": {…}}, …}``; None: it does not match."""
        try:
            found = self._pattern.exec(*_arguments({} if input is None else input, base))
        except ValueError:
            return None  # a URL that is none matches nothing
        return None if found is None else dict(found)

    @property
    def hasRegExpGroups(self) -> bool:
        return bool(self._pattern.hasRegExpGroups)

    def __getattr__(self, name: str) -> str:
        if name not in _PARTS:
            raise AttributeError(name)
        return str(getattr(self._pattern, name))

    def __repr__(self) -> str:
        return f"URLPattern({', '.join(f'{part}={getattr(self, part)!r}' for part in _PARTS)})"


def _arguments(input: str | Mapping[str, str], base: str | None) -> list[Any]:
    given = dict(input) if isinstance(input, Mapping) else str(input)
    return [given] if base is None else [given, base]


__all__ = ["URLPattern"]
