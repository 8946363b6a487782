"""What is refused, and how often models are asked: counted by minute, address and token, not written down one by one.

A stranger sends as many wrong tokens as the network carries. Here each is a number in memory. What was counted since is
written down every few seconds, in one transaction, and in a table of its own: it takes no room from what was changed.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from runtime.host.store.rows import TallyRow, now

_MAX_WORDS = 200  # characters of a method and a path that are kept
_MAX_KEYS = 500  # different ones between two writes, of tokens and of strangers each; further ones are _OTHERS
_MINUTE = len("2026-01-01T00:00")
_OTHERS = "(others)"  # addresses

Key = tuple[str, str, str, int]  # minute, token, address, status


class Tally:
    """Counts. ``take`` what has been counted, and write it down."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()
        self._first: dict[Key, str] = {}  # what the first of them asked for
        self._keys = {True: 0, False: 0}  # how many are a token's, and how many are not

    def count(self, token: str, address: str, status: int, what: str) -> None:
        """``token``: its name, or "". ``what``: method and path, as far as they go."""
        key = now()[:_MINUTE], token, network(address), status
        if key not in self._counts:
            if self._keys[bool(token)] >= _MAX_KEYS:
                key = *key[:2], _OTHERS, status
            self._keys[bool(token)] += key not in self._counts
            self._first.setdefault(key, shortened(what))
        self._counts[key] += 1

    def take(self) -> list[TallyRow]:
        """Everything since the last time."""
        rows = [TallyRow(*key, self._first[key], number) for key, number in self._counts.items()]
        self._counts, self._first, self._keys = Counter(), {}, {True: 0, False: 0}
        return rows


def shortened(what: str) -> str:
    return what if len(what) <= _MAX_WORDS else what[: _MAX_WORDS - 1] + "…"


def network(address: str) -> str:
    """Whom an address stands for: of IPv6 whoever has one has the other 2 ** 64 of its network."""
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(number, ipaddress.IPv4Address) or number.ipv4_mapped:
        return str(getattr(number, "ipv4_mapped", None) or number)
    return str(ipaddress.ip_network((number, 64), strict=False))


__all__ = ["Tally", "network", "shortened"]
