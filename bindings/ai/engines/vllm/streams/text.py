"""From token ids to text by a table, as vLLM's own detokenizer would say it, byte for byte.

Theory of operation
-------------------
vLLM detokenizes a stream with ``tokenizers``' DecodeStream: two decodings per token. For those of ``EXACT_DECODERS``
nearly every token is always the same text wherever it stands after another token. Those are in the table, made by
the tokenizer itself: each token is decoded behind an anchor. The others (parts of characters) go through vLLM's own
detokenizer, which starts from the last token of the table: all that its state depends on there.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import Detokenizer, EngineCoreRequest

Table = list[str | None]

EXACT_DECODERS = {("ByteLevel",), ("Replace", "ByteFallback", "Fuse"), ("Replace", "ByteFallback", "Fuse", "Strip")}
_REPLACEMENT_CHARACTER = "\ufffd"


def table(tokenizer: object, size: int) -> Table | None:
    """Each id's text behind another token; None for parts of characters. Nothing for a tokenizer that is not exact.

    ``size``: ids the model may say at least. A tenth of a second for 100,000 tokens.
    """
    raw = getattr(tokenizer, "_tokenizer", None)
    if raw is None or raw.decoder is None or _kinds(raw.decoder) not in EXACT_DECODERS:
        return None
    anchor = raw.encode("a", add_special_tokens=False).ids[-1:]
    before = raw.decode(anchor)
    if not before:
        return None
    size = max(size, raw.get_vocab_size())
    decoded = raw.decode_batch([[*anchor, number] for number in range(size)])
    found = [_behind(before, text) for text in decoded]
    for byte in range(256):
        if (number := raw.token_to_id(f"<0x{byte:02X}>")) is not None:
            found[number] = None
    whole = [*anchor, *(number for number, text in enumerate(found) if text is not None)]
    return found if raw.decode(whole) == before + "".join(filter(None, found)) else None


def _behind(before: str, text: str) -> str | None:
    return text[len(before) :] if text.startswith(before) and _REPLACEMENT_CHARACTER not in text else None


def _kinds(decoder: Any) -> tuple[str, ...]:
    state = json.loads(decoder.__getstate__())
    return tuple(part["type"] for part in state.get("decoders", [state]))


class TableDetokenizer:
    """The text of one stream. ``request``: vLLM's EngineCoreRequest."""

    __slots__ = ("_last", "_request", "_slow", "_table", "_tokenizer")

    def __init__(self, table: Table, tokenizer: object, request: EngineCoreRequest) -> None:
        self._table, self._tokenizer, self._request = table, tokenizer, request
        self._last: int = request.prompt_token_ids[-1]
        self._slow: Detokenizer | None = None
        if not table[self._last]:
            self._slow = _detokenizer(tokenizer, request)

    def add(self, number: int) -> str:
        """What one token adds; empty while a character is not whole."""
        text = self._table[number]
        if self._slow is None:
            if text is not None:
                self._last = number if text else self._last
                return text
            self._slow = self._from_last()
        piece = self._slow.decode_next(number)
        if piece and text:
            self._slow, self._last = None, number
        return piece

    def _from_last(self) -> Detokenizer:
        request = copy.copy(self._request)
        request.prompt_token_ids = [self._last]
        return _detokenizer(self._tokenizer, request)


def _detokenizer(tokenizer: object, request: EngineCoreRequest) -> Detokenizer:
    detokenizer: Detokenizer = compat.get("IncrementalDetokenizer").from_new_request(tokenizer, request)
    return detokenizer


__all__ = ["Table", "TableDetokenizer", "table"]
