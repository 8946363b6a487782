"""The native stream dialect, encoded here once: what this makes goes to the socket untouched.

Facts: docs/reference/workers-ai.md#streams.

    data: {"response":"Hel"}            one event per delta, with "p" filler when padding is on
    data: {"response":"","usage":{…}}   the last but one
    data: [DONE]

Nothing is on record of how the service tells of a failure once a stream runs. Here it is an event with the
error envelope of REST, and then the end, without ``[DONE]``: clients that wait for it report a cut stream.
"""

from __future__ import annotations

import random
from itertools import cycle, islice
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
HEADERS = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
PADDING_LENGTHS = 50  # lengths 0 to 49; 0: the event goes without

_encode = msgspec.json.Encoder().encode
_filler = "".join(islice(cycle("abcdefghijklmnopqrstuvwxyz0123456789"), PADDING_LENGTHS))
_tails = [b"}\n\n", *(f',"p":"{_filler[:length]}"}}\n\n'.encode() for length in range(1, PADDING_LENGTHS))]
# Seeded by the system, not the system's own, which would cost a microsecond per token.
_random = random.Random(random.SystemRandom().getrandbits(256)).random


def event(value: object) -> bytes:
    """One event for any value."""
    return b"data: %b\n\n" % _encode(value)


def padded_event(value: dict[str, Any]) -> bytes:
    """The same for an object, its length hidden."""
    return b"data: %b%b" % (_encode(value)[:-1], filler())


def filler() -> bytes:
    """The end of an event whose object is still open: filler of an unforeseeable length, and what closes it."""
    return _tails[int(_random() * PADDING_LENGTHS)]


def token(text: str) -> bytes:
    """One event for ``text``, which is not empty."""
    return b'data: {"response":%b}\n\n' % _encode(text)


def padded_token(text: str) -> bytes:
    """The same, its length hidden by filler of an unforeseeable length: ciphertext tells no token lengths."""
    return b'data: {"response":%b%b' % (_encode(text), _tails[int(_random() * PADDING_LENGTHS)])


def last(usage: dict[str, Any]) -> bytes:
    """The end of a good stream: the usage event and the terminator."""
    return b'data: {"response":"","usage":%b}\n\n' % _encode(usage) + DONE


def failure(envelope: dict[str, Any]) -> bytes:
    """The end of a stream that broke."""
    return event(envelope)


__all__ = ["DONE", "HEADERS", "event", "failure", "filler", "last", "padded_event", "padded_token", "token"]
