"""Frames, in whatever pieces they come: what ``websockets`` writes is read, and the other way round."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as some
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from runtime.supervisor.sockets import frames
from runtime.supervisor.sockets.ends import Content, Violation

TEXTS = some.text(some.characters(exclude_categories=["Cs"]), max_size=300)
MESSAGES = some.lists(TEXTS | some.binary(max_size=300) | some.just(b"x" * 70_000), max_size=8)


def client() -> ClientProtocol:
    protocol = ClientProtocol(parse_uri("ws://a/"), state=OPEN)
    protocol.side = protocol.side.CLIENT
    return protocol


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts, data = [*parts, data[:size]], data[size:]
    return [part for part in (*parts, data) if part]


def read(reader: frames.Reader, parts: list[bytes]) -> list[object]:
    found: list[object] = []
    for part in parts:
        reader.feed(part)
        while (event := reader.next()) is not None:
            found.append(event)
    return found


@settings(deadline=None)
@given(MESSAGES, some.lists(some.integers(1, 400), max_size=40), some.integers(1, 5))
def test_what_a_client_sends(messages: list[Content], sizes: list[int], fragments: int) -> None:
    """Whole or in fragments, with pings in between."""
    sender = client()
    for message in messages:
        kind, content = (Opcode.TEXT, message.encode()) if isinstance(message, str) else (Opcode.BINARY, message)
        step = max(1, len(content) // fragments)
        cut = [content[at : at + step] for at in range(0, len(content), step)] or [b""]
        for at, part in enumerate(cut):
            sender.send_frame(Frame(Opcode.CONT if at else kind, part, at == len(cut) - 1))
            sender.send_ping(b"p")
    sender.send_close(4000, "bye")
    found = read(frames.Reader(True, 1 << 20), pieces(b"".join(sender.data_to_send()), sizes))
    assert [event for event in found if event[0] != frames.PING] == [  # type: ignore[index]
        *((frames.MESSAGE, message) for message in messages), (frames.CLOSE, (4000, "bye")),
    ]  # fmt: skip


@settings(deadline=None)
@given(MESSAGES, some.booleans())
def test_what_is_sent(messages: list[Content], mask: bool) -> None:
    """To a client as ``websockets`` reads it, and to a server as this very reader does."""
    sent = [frames.message(message, mask) for message in messages] + [frames.closing(4000, "é" * 100, mask)]
    if mask:
        events = read(frames.Reader(True, 1 << 20), sent)
        assert [event[1] for event in events[:-1]] == messages  # type: ignore[index]
    else:
        receiver = client()
        receiver.receive_data(b"".join(sent))
        *found, closing = receiver.events_received()
        said = [frame.data.decode() if frame.opcode == Opcode.TEXT else bytes(frame.data) for frame in found]  # type: ignore[union-attr]
        assert said == messages
        assert (receiver.close_rcvd and receiver.close_rcvd.reason) == "é" * 61  # as much as there is room for
        assert closing.opcode == Opcode.CLOSE  # type: ignore[union-attr]


@settings(deadline=None)
@given(some.binary(max_size=200), some.booleans())
def test_noise_is_read_or_refused(noise: bytes, masked: bool) -> None:
    reader = frames.Reader(masked, 1000)
    with suppress(Violation):
        read(reader, [noise])
    assert reader.held <= len(noise) + 64 * 100
