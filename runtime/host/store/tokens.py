"""API tokens: made once, shown once, kept as hashes, compared in constant time, revoked at any moment."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Sequence

import msgspec

from bindings import products
from runtime.errors import UserError
from runtime.host.store.registry import Registry
from runtime.host.store.rows import TokenRow, now
from runtime.host.store.tally import network

Scope = str  # "deploy", "read", or one of a product's
HOST_SCOPES: tuple[Scope, ...] = ("deploy", "read")
TOKEN_PREFIX = "pilot_"
_MAX_FAILURES, _FAILURE_WINDOW_S = 20, 60.0  # wrong tokens from one address in so many seconds
_MAX_ADDRESSES = 10_000  # remembered


def scopes() -> tuple[Scope, ...]:
    """What a token may be for."""
    return (*HOST_SCOPES, *(scope for product in products() for scope in product.scopes))


def create(
    registry: Registry, name: str, requested: Sequence[str] = (), keep: Callable[[str], object] = lambda token: None
) -> tuple[TokenRow, str]:
    """(the row, the token itself, which nobody can show again). ``deploy`` includes ``read``. Without scopes: all.
    ``keep(token)`` comes before it is good for anything."""
    available = scopes()
    for scope in requested:
        if scope not in available:
            raise UserError(f"there is no scope {scope!r}", where="--scope", remedy=f"Use: {', '.join(available)}")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(
        id=uuid.uuid4().hex[:12],
        name=name,
        hash=_hash(token),
        scopes=sorted(set(requested or available)),
        created=now(),
    )
    keep(token)
    registry.add_token(row)
    return row, token


def revoke(registry: Registry, name: str) -> TokenRow:
    """By id or by name. Raises UserError when none, or more than one, is called so."""
    matches = [row for row in registry.tokens() if name in (row.id, row.name) and row.revoked is None]
    if len(matches) != 1:
        what = f"{len(matches)} tokens are called so" if matches else "no valid token is called so"
        raise UserError(what, where=name, remedy="pilot host token list")
    row = msgspec.structs.replace(matches[0], revoked=now())
    registry.add_token(row)
    return row


class TokenAuth:
    """Who may do what. Looks at the registry each time: a token revoked by another process is refused at once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._failures: dict[str, list[float]] = {}

    def holder(self, token: str) -> TokenRow | None:
        """The valid token this is. Takes the same time whichever it is."""
        digest, holder = _hash(token), None
        for row in self._registry.tokens():
            if hmac.compare_digest(row.hash, digest) and row.revoked is None:
                holder = row
        return holder

    def failed(self, address: str) -> bool:
        """A wrong token came from there; whether that was one too many."""
        address, now = network(address), time.monotonic()
        recent = [at for at in self._failures.pop(address, []) if at > now - _FAILURE_WINDOW_S]
        self._failures[address] = [*recent[-_MAX_FAILURES:], now]
        while len(self._failures) > _MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]  # the one that failed longest ago
        return len(recent) >= _MAX_FAILURES


def allows(row: TokenRow, scope: Scope) -> bool:
    return scope in row.scopes or (scope == "read" and "deploy" in row.scopes)


def _hash(token: str) -> str:
    """Plain SHA-256 is enough: a token has 256 bits of chance in it, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = ["TOKEN_PREFIX", "Scope", "TokenAuth", "allows", "create", "revoke", "scopes"]
