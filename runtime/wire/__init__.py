"""Frames on a socketpair, both ends.

Theory of operation
-------------------
Two processes hold one end each of a ``socketpair``; a ``Channel`` is the same class at both ends. It carries

* calls:    ``await channel.call(op, *args)`` runs the peer's handler; cancelling the awaiter cancels the handler
* notes:    one-way
* sockets:  messages in both directions at once, by a number that either end knows (``protocol.SocketEnd``)
* streams:  ``offer(source)`` names a local async iterator by a number; the peer that learns the number ``read``s
            it, or hands it back (``adopt``) so that the bytes never cross. Nothing is pulled from a source before the
            peer asks, and never more than ``window`` items ahead of it. ``aclose`` at either end reaches the other.
            ``ask(op, *args)`` names a stream by its reader: it begins without a call first, and its source, which the
            peer's ``sources`` makes, may be a ``PushSource``.

A frame is one msgpack array ``[kind, id, ...]``. The frames of one turn of the event loop travel together, in one
``write``: a 4-byte little-endian length and a msgpack array of them, which the peer decodes at once. A token then
costs about a microsecond at each end instead of a system call. Data is plain msgpack: nothing that arrives can make
this process run code.

The supervisor's end of a channel to an isolate is a ``GuardedChannel``: it ends a peer that has more outstanding than
its ``Credit``, and looks at what comes in slices, so that one peer's frames do not hold up another's.
"""

from __future__ import annotations

from runtime.wire.answers import Named
from runtime.wire.channel import Channel, Handler
from runtime.wire.credit import MAX_CHUNK, MAX_WORKER_FRAME
from runtime.wire.errors import ChannelClosed, RemoteError, describe, no_calls
from runtime.wire.frames import MAX_FRAME_BYTES
from runtime.wire.guarded import GuardedChannel
from runtime.wire.protocol import SOCKET, UNLIMITED, WINDOW
from runtime.wire.push import PushSource
from runtime.wire.streams import Flowing, RemoteStream, flowing, sink_of

__all__ = [
    "MAX_CHUNK",
    "MAX_FRAME_BYTES",
    "MAX_WORKER_FRAME",
    "SOCKET",
    "UNLIMITED",
    "WINDOW",
    "Channel",
    "ChannelClosed",
    "Flowing",
    "GuardedChannel",
    "Handler",
    "Named",
    "PushSource",
    "RemoteError",
    "RemoteStream",
    "describe",
    "flowing",
    "no_calls",
    "sink_of",
]  # fmt: skip
