"""Which replica answers: the same one for a conversation, whose beginning it has in its cache, unless it is busier
than the others.

By the hash of the conversation's root, within a bound on the load (consistent hashing with bounded loads, ordered by
highest random weight). Nothing is remembered, so every front chooses alike, and a further replica moves only its
share of the conversations.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from bindings.ai.engine.protocol import Generate

RAW_CHARS = 1024  # of a raw prompt, which has no parts: its beginning
TEXT_CHARS = 4096  # of each message that counts
SLACK, SPARE = 1.25, 2  # a replica may have so many times the mean, and so many requests more


class Loaded(Protocol):
    """A replica. ``load``: requests in hand; ``key``: its name, the same in every front."""

    @property
    def load(self) -> int: ...

    @property
    def key(self) -> bytes: ...


Replica = TypeVar("Replica", bound=Loaded)


def root_of(request: Generate) -> bytes:
    """What all turns of a conversation have in common: adapter, system message and first message of the user's."""
    parts = [request.lora or ""]
    if request.messages is None:
        parts.append(request.prompt[:RAW_CHARS] if request.prompt else repr(request.prompt_tokens[:RAW_CHARS]))
    for message in request.messages or ():
        parts.append(_text(message.get("content")))
        if message.get("role") == "user":
            break
    return blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).digest()


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """A message's text as far as it counts; an image by the beginning of its address."""
    if isinstance(content, list):
        return "\n".join((part.get("text") or part.get("image_url", {}).get("url", ""))[:RAW_CHARS] for part in content)
    return (content or "")[:TEXT_CHARS]


def by_root(replicas: Sequence[Replica], root: bytes) -> tuple[Replica, bool]:
    """The first in the root's own order that is not busier than it may be; whether it was the very first."""
    most = SLACK * sum(each.load for each in replicas) / len(replicas) + SPARE
    first = max(replicas, key=lambda each: _weight(root, each))
    if first.load <= most:
        return first, True
    order = sorted(replicas, key=lambda each: _weight(root, each), reverse=True)
    return next(each for each in order if each.load <= most), False


def by_load(replicas: Sequence[Replica]) -> Replica:
    """The less busy of two, for what has no conversation."""
    two = random.sample(replicas, 2) if len(replicas) > 2 else replicas
    return min(two, key=lambda each: each.load)


def _weight(root: bytes, replica: Loaded) -> bytes:
    return blake2b(root, digest_size=8, key=replica.key).digest()


__all__ = ["by_load", "by_root", "root_of"]
