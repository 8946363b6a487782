"""A large message, decoded a slice at a time, so that nobody waits for its end.

``msgspec`` decodes a message in one go, a tenth of a microsecond for each value: right for a small one, a second for
one of millions. Here the loop can turn in between, and what a message holds is counted before it is made.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from typing import Annotated, Any

import msgspec

from runtime.wire.credit import Credit, CreditExceeded
from runtime.wire.protocol import RESULT, Frame

SMALL_BYTES = 4 * 1024  # of a message that is decoded in one go, whatever it holds
_SLICE_BYTES = 8 * 1024  # of numbers, at a time
_TOKENS = 100  # values, at a time
_LARGE_BYTES, _PIECE_BYTES = 1024 * 1024, 128 * 1024  # of one value that is put together of pieces; of a piece
_GATHERED_BYTES, _FRAME_BYTES = 64 * 1024, 4 * 1024  # of a message of many frames; of one of them on average
_MAX_HIGH = 4096  # of its bytes, that can be the head of anything but a small number
_LOW = bytes(range(0x80))
_MIN_RUN = 16  # numbers that are looked for together
_NUMBER = rb"[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2].{4}|[\xcb\xcf\xd3].{8}"
_numbers = re.compile(_NUMBER, re.DOTALL)
_run = re.compile(rb"(?:" + _NUMBER + rb")++", re.DOTALL)  # of numbers, nil, true and false
_decode = msgspec.msgpack.Decoder().decode

_Headers = Annotated[list[Annotated[list[bytes], msgspec.Meta(max_length=2)]], msgspec.Meta(max_length=64)]
_Frame = tuple[Annotated[int, msgspec.Meta(ge=RESULT, le=RESULT)], int, tuple[int, str, _Headers, bytes]]
_answers = msgspec.msgpack.Decoder(Annotated[list[_Frame], msgspec.Meta(max_length=8)]).decode

# The msgpack format: what its first byte says of a value.
_WIDTHS = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5,
           0xD3: 9}  # fmt: skip
_WIDTHS |= dict.fromkeys((*range(0x80), *range(0xE0, 0x100)), 1)
_WIDTHS |= {0xA0 + length: 1 + length for length in range(32)}
_WIDTHS |= {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}  # extensions of a fixed size
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}  # so many bytes hold the length; one more, the type
_MAX_EXTENSION_BYTES = 128 * 1024  # whoever it is for decodes it in one go
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # bytes, text: so many bytes hold the length
_FIRST_TEXT = 0xD9
_COUNTS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}  # lists, maps


class Join:
    """Pieces that become one value. ``run`` in a thread: the interpreter's lock is free while bytes are copied."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces, self.whole = pieces, b""

    def run(self) -> None:
        self.whole = b"".join(self._pieces)
        self._pieces.clear()


class _Open:
    """A list or a map that is not whole yet: ``left`` values are to come, the keys of a map among them."""

    __slots__ = ("into", "key", "keyed", "left")

    def __init__(self, into: Any, left: int) -> None:
        self.into, self.left = into, left
        self.key: object = None
        self.keyed = False  # the key has come, its value has not

    def take(self, value: object) -> None:
        self.left -= 1
        if isinstance(self.into, list):
            self.into.append(value)
        elif self.keyed:
            self.into[self.key], self.keyed = value, False
        else:
            self.key, self.keyed = value, True

    @property
    def at_key(self) -> bool:
        return not (self.keyed or isinstance(self.into, list))


class Slices:
    """Iterate: each step decodes a slice; in the end ``result`` is there. A step that gives a ``Join`` goes on once
    that has been run. Raises ``CreditExceeded``, or what ``frames.MALFORMED`` names. ``values``: how many it holds."""

    def __init__(self, message: memoryview, credit: Credit) -> None:
        self._message, self._credit = message, credit
        self._at, self._end = 0, len(message)
        self._whole: list[Any] = []
        self._open = [_Open(self._whole, 1)]
        self.values = self._odd = 0

    def __iter__(self) -> Iterator[Join | None]:
        return self._slices()

    @property
    def result(self) -> Any:
        return self._whole[0]

    def _slices(self) -> Generator[Join | None]:
        steps = 0
        while self._open:
            here = self._open[-1]
            if not here.left:
                self._open.pop()
            elif here.left >= _MIN_RUN and isinstance(here.into, list) and self._take_run(here):
                yield None
            elif self._take_one(here):
                yield from self._large(here)
            steps += 1
            if steps % _TOKENS == 0:
                yield None
        if self._at != self._end:
            raise ValueError("bytes after the end of a message")

    def _take_run(self, here: _Open) -> bool:
        """As many numbers as follow each other in a list; False: it is something else."""
        run = _run.match(self._message, self._at, min(self._end, self._at + _SLICE_BYTES))
        if run is None:
            return False
        tokens = _numbers.findall(self._message, self._at, run.end())[: here.left]
        numbers = b"".join(tokens)
        here.into.extend(_decode(b"\xdd" + len(tokens).to_bytes(4, "big") + numbers))
        here.left -= len(tokens)
        self._at += len(numbers)
        return True

    def _take_one(self, here: _Open) -> bool:
        """False once it is done; True: it is a large value."""
        code = self._message[self._at]
        if 0x80 <= code <= 0x9F:
            self._begin(here, code & 15, 1, code < 0x90)
        elif (size := _COUNTS.get(code)) is not None:
            self._begin(here, self._number(size), 1 + size, code >= 0xDE)
        else:
            return self._leaf(here, self._width(code))
        return False

    def _width(self, code: int) -> int:
        if (size := _LENGTHS.get(code)) is not None:
            return 1 + size + self._number(size)
        if (size := _EXTENSIONS.get(code)) is None:
            return _WIDTHS[code]
        if (length := self._number(size)) > _MAX_EXTENSION_BYTES:
            raise CreditExceeded(f"sent a special value of more than {_MAX_EXTENSION_BYTES} bytes")
        return 2 + size + length

    def _number(self, size: int) -> int:
        return int.from_bytes(self._message[self._at + 1 : self._at + 1 + size], "big")

    def _begin(self, here: _Open, count: int, width: int, is_map: bool) -> None:
        if here.at_key:
            raise TypeError("a list or a map as a key")
        left = 2 * count if is_map else count
        self.values += left + 1
        if self.values > self._credit.message_values:
            raise CreditExceeded(f"sent a message of more than {self._credit.message_values:,} values")
        if len(self._open) > self._credit.depth:
            raise CreditExceeded(f"sent a message of lists in lists, more than {self._credit.depth} deep")
        into: Any = {} if is_map else []
        here.take(into)
        self._open.append(_Open(into, left))
        self._at += width

    def _leaf(self, here: _Open, width: int) -> bool:
        end = self._at + width
        if end > self._end:
            raise ValueError("a message that ends before its end")
        if width > _LARGE_BYTES:
            return True
        value = _decode(bytes(self._message[self._at : end]))
        if here.at_key and not isinstance(value, str):
            self._odd += 1
            if self._odd > self._credit.odd_keys:
                raise CreditExceeded(f"sent maps with more than {self._credit.odd_keys:,} keys that are no text")
        here.take(value)
        self._at = end
        return False

    def _large(self, here: _Open) -> Generator[Join | None]:
        """Bytes or a text, in pieces."""
        code = self._message[self._at]
        end = self._at + self._width(code)
        pieces: list[bytes] = []
        for at in range(self._at + 1 + _LENGTHS[code], end, _PIECE_BYTES):
            pieces.append(bytes(self._message[at : min(end, at + _PIECE_BYTES)]))
            yield None
        if code < _FIRST_TEXT:
            join = Join(pieces)
            yield join
            here.take(join.whole)
        else:
            here.take((yield from _text(pieces)))
        self._at = end


def at_once(unread: bytearray, at: int, size: int) -> list[Frame] | None:
    """The frames of the message that begins there, if those can be had in one go."""
    if size <= SMALL_BYTES or _is_gathered(unread, at, size):
        return _decode(unread[at : at + size])  # type: ignore[no-any-return]
    with memoryview(unread)[at : at + size] as message:
        return answers(message)


def _is_gathered(unread: bytearray, at: int, size: int) -> bool:
    """Whether the message has many small frames, such as tokens, and not many values besides: that one, too, is decoded
    in one go."""
    many = int.from_bytes(unread[at + 1 : at + 5], "big")
    if size > _GATHERED_BYTES or size > many * _FRAME_BYTES:
        return False
    return len(unread[at : at + size].translate(None, _LOW)) <= _MAX_HIGH


def answers(message: bytes | memoryview) -> list[Frame] | None:
    """The frames of a message of whole answers to requests, as most large ones are: a few values, and bytes. None: it
    is another."""
    if len(message) > _LARGE_BYTES:
        return None
    try:
        return [[kind, number, [*answer]] for kind, number, answer in _answers(message)]
    except msgspec.MsgspecError:
        return None


def _text(pieces: list[bytes]) -> Generator[None, None, str]:
    decoder, texts = codecs.getincrementaldecoder("utf-8")(), []
    for piece in pieces:
        texts.append(decoder.decode(piece))
        yield
    return "".join([*texts, decoder.decode(b"", final=True)])


def count(value: object) -> int:
    """How many values are in this one."""
    if isinstance(value, list):
        return len(value) + sum(map(count, value))
    if isinstance(value, dict):
        return 2 * len(value) + sum(map(count, value.values()))
    return 0


__all__ = ["SMALL_BYTES", "Join", "Slices", "answers", "at_once", "count"]
