"""The ``echo`` engine: no model, every answer known beforehand. For tests, load tests and offline work.

It answers with the words of the prompt (of the last message, for a chat), split on white space and joined
with single spaces; one word is one token. Options:

``rate``            tokens per second of one stream; 0 (default): as fast as they are read
``tokens``          answer with exactly this many tokens, starting over with the first word when they run out
``context_window``  limit on prompt + ``max_tokens``; default none

``max_tokens`` and ``stop`` are honoured; sampling parameters and seeds change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import cycle, islice
from typing import Any

import msgspec

from bindings.ai.engine import Delta, EngineInfo, EngineSpec, Generate, Progress, check_limits
from runtime.errors import ConfigError


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate: float = 0
    tokens: int | None = None
    context_window: int | None = None


class EchoEngine:
    alive = True

    def __init__(self, info: EngineInfo, options: Options) -> None:
        self.info, self._options, self.live = info, options, 0

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> EchoEngine:
        """Ready at once. Raises ConfigError for an option it does not know."""
        try:
            options = msgspec.convert(spec.options, Options)
        except msgspec.ValidationError as error:
            raise ConfigError(str(error), where="echo: options",
                              remedy="The options are: rate, tokens, context_window") from None
        info = EngineInfo(engine="echo", model=spec.model, version="1", device="cpu",
                          context_window=options.context_window)
        return cls(info, options)

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        prompt_tokens = _prompt_tokens(request)
        check_limits(request, prompt_tokens, self._options.context_window)
        self.live += 1
        try:
            async for text, finish in self._paced(request):
                yield Delta(text, 1 if text else 0, prompt_tokens, finish)
        finally:
            self.live -= 1

    async def _paced(self, request: Generate) -> AsyncGenerator[tuple[str, str | None], None]:
        """Each piece at its own due time, counted from the start: a late one does not delay the rest."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number, piece in enumerate(_answer(request, self._options.tokens), 1):
            due = start + number / self._options.rate if self._options.rate else 0
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield piece

    async def aclose(self) -> None:
        """Nothing to free."""


def _prompt_tokens(request: Generate) -> int:
    return sum(len(text.split()) for text in _texts(request))


def _texts(request: Generate) -> list[str]:
    if request.messages is None:
        return [request.prompt or ""]
    return [_text(message.get("content")) for message in request.messages]


def _text(content: Any) -> str:
    """A message's text: a string, or the OpenAI list of ``{"type": "text", "text": …}`` parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return content or ""


def _answer(request: Generate, tokens: int | None) -> Iterator[tuple[str, str | None]]:
    """The (text, finish_reason) of every delta, made as it is asked for; only the last has a reason."""
    words = [*_texts(request)][-1].split() or [""]
    wanted = len(words) if tokens is None else tokens
    made = min(wanted, request.max_tokens)
    pieces: Iterable[str] = (word if n == 0 else " " + word for n, word in enumerate(islice(cycle(words), made)))
    stopped = False
    if request.stop:
        pieces, stopped = _cut([*pieces], request.stop)
    yield from ((piece, None) for piece in pieces)
    yield "", "stop" if stopped or made == wanted else "length"


def _cut(pieces: list[str], stop: list[str]) -> tuple[list[str], bool]:
    """The pieces up to the first stop string, which is left out."""
    text = "".join(pieces)
    found = [at for at in (text.find(word) for word in stop if word) if at >= 0]
    if not found:
        return pieces, False
    kept, room = [], min(found)
    for piece in pieces:
        kept.append(piece[:room])
        room -= len(kept[-1])
    return [piece for piece in kept if piece], True
