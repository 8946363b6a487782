"""A gate for clients whose key comes in a header of its own, too: Anthropic's, and AI Gateway's."""

from __future__ import annotations

from dataclasses import dataclass

from bindings.ai.errors import GatewayError
from bindings.ai.http.auth import Auth, Failure
from runtime.web import Headers


@dataclass(frozen=True)
class Keys(Auth):
    """``header``: its name. The value is a key, or ``Bearer`` and a key."""

    header: str = ""

    @classmethod
    def of(cls, gate: Auth, header: str, failure: Failure) -> Keys:
        return cls(gate.token, gate.admits, gate.origins, keyless=True, failure=failure, header=header)

    def check(self, headers: Headers) -> None:
        """Raises GatewayError unless one of the two keys that may have been sent is a good one."""
        key = headers.get(self.header)
        if key is None:
            return super().check(headers)
        try:
            super().check(Headers({"authorization": key if key.lower().startswith("bearer ") else f"Bearer {key}"}))
        except GatewayError:
            if not headers.has("authorization"):
                raise
            super().check(headers)


__all__ = ["Keys"]
