"""What a peer that runs someone's code may have outstanding, and how the one that goes beyond is told of."""

from __future__ import annotations

import msgspec

MAX_CHUNK = 1024 * 1024  # bytes of one item of a stream
MAX_WORKER_FRAME = 33 * 1024 * 1024  # bytes: 32 MiB of content, and what is around it


class Credit(msgspec.Struct, frozen=True):
    """One isolate's. Only what is in hand counts: how much passes in the course of time is not limited here."""

    calls: int = 4096  # not answered yet
    streams: int = 4096  # that were opened for it and are not over
    held: int = 256 * 1024 * 1024  # bytes: what its calls carry, and items of its streams that nobody has taken yet
    values: int = 2_000_000  # in what its calls carry
    unread: int = 256 * 1024 * 1024  # bytes that were written to it and that it has not read
    message: int = MAX_WORKER_FRAME + 1024  # bytes
    message_values: int = 1_000_000
    depth: int = 128  # of lists and maps in each other
    odd_keys: int = 1024  # in one message: keys that are no text, whose hashes their sender can choose


class CreditExceeded(Exception):
    """Why the peer is not one to go on with, as the end of a sentence on it: ``it sent ...``."""


__all__ = ["MAX_CHUNK", "MAX_WORKER_FRAME", "Credit", "CreditExceeded"]
