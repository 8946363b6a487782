"""Credentials of clients whose key may also come in a header of its own: Anthropic's, and AI Gateway's."""

from __future__ import annotations

from bindings.ai.errors import EdgeError
from bindings.ai.http.auth import Auth, Failure
from runtime.web import Headers


class HeaderAuth(Auth, frozen=True):
    """``header``: its name. The value is a key, or ``Bearer`` and a key."""

    header: str = ""

    @classmethod
    def of(cls, auth: Auth, header: str, failure: Failure) -> HeaderAuth:
        return cls(auth.token, auth.admits, auth.origins, keyless=True, failure=failure, header=header)

    def check(self, headers: Headers, address: str = "") -> None:
        """Raises EdgeError unless one of the two keys that may have been sent is a good one."""
        key = headers.get(self.header)
        if key is None:
            return super().check(headers, address)
        try:
            given = key if key.lower().startswith("bearer ") else f"Bearer {key}"
            super().check(Headers({"authorization": given}), address)
        except EdgeError:
            if not headers.has("authorization"):
                raise
            super().check(headers, address)


__all__ = ["HeaderAuth"]
