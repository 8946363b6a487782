"""The ``echo`` engine: no model, every answer known beforehand. For tests, load tests and offline work.

It answers with the words of the prompt (of the last message, for a chat), split on white space and joined
with single spaces; one word is one token, and a token's id is a word. Options:

``rate``            tokens per second of one stream; 0 (default): as fast as they are read
``tokens``          answer with exactly this many tokens, starting over with the first word when they run out
``context_window``  limit on prompt + ``max_tokens``; default none
``tool_call``       ``{name, arguments}``: call this function wherever a request offers it
``reasoning``       think this aloud before every answer, unless the request's ``reasoning_effort`` is ``none``
``images``          true: take images, and look away
``sleeps``          true: let itself be put to sleep, and answer nothing meanwhile

``max_tokens`` and ``stop`` are honoured; sampling parameters and seeds change nothing; ``n`` answers are all the
same. In JSON mode it repeats a prompt that is JSON itself, and refuses any other. Tools and ``reasoning_effort`` are
refused unless the option for them is there, and so is all that takes a real model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import chain, cycle, islice
from typing import Any, NamedTuple

import msgspec

from bindings.ai.engine import features, tasks
from bindings.ai.engine.protocol import Delta, EngineInfo, EngineSpec, Extra, Generate, Progress, check_limits
from bindings.ai.engines import scripted
from runtime.errors import ConfigError

_PIECES = re.compile(r"\s*\S+|\s+$")  # of a text that is told: nothing of it is lost


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] = {}


class EchoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate: float = 0
    tokens: int | None = None
    context_window: int | None = None
    tool_call: ScriptedCall | None = None
    reasoning: str = ""
    images: bool = False
    sleeps: bool = False

    @property
    def features(self) -> frozenset[str]:
        options = {"tools": self.tool_call, "reasoning_effort": self.reasoning, "image_url": self.images}
        return frozenset({"json_schema", "n", *(name for name, value in options.items() if value)})


class _Piece(NamedTuple):
    """What one token brings; the last piece has no token, but a reason."""

    text: str = ""
    reasoning: str = ""
    call: dict[str, Any] | None = None
    reason: str | None = None
    stop: str = ""

    def delta(self, index: int, prompt_tokens: int) -> Delta:
        extra = None
        if index or self.reasoning or self.call or self.stop:
            extra = Extra(
                index=index,
                reasoning=self.reasoning,
                tool_calls=[self.call] if self.call else [],
                stop_sequence=self.stop,
            )
        tokens = 1 if self.text or self.reasoning or self.call else 0
        return Delta(self.text, tokens, prompt_tokens, self.reason, extra)


class EchoEngine:
    alive = True

    def __init__(self, info: EngineInfo, options: EchoOptions) -> None:
        self.info, self._options, self.live = info, options, 0
        self._asleep = False
        self._places: dict[str, int] = {}

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> EchoEngine:
        """Ready at once. Raises ConfigError for an option it does not know."""
        try:
            options = msgspec.convert(spec.options, EchoOptions)
        except msgspec.ValidationError as error:
            raise ConfigError(
                str(error), where="echo: options", remedy="The options are: " + ", ".join(EchoOptions.__struct_fields__)
            ) from None
        info = EngineInfo(
            engine="echo",
            model=spec.model,
            version="1",
            device="cpu",
            context_window=options.context_window,
            features=options.features | ({"tools"} if scripted.is_there() else frozenset()),
        )
        return cls(info, options)

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        features.check(request, self.info)
        assert not self._asleep
        prompt_tokens = _prompt_tokens(request)
        max_tokens = check_limits(request, prompt_tokens, self._options.context_window)
        answers, answer = request.n, _answer(request, self._options, max_tokens)
        del request  # a stream may take its time
        start = asyncio.get_running_loop().time()
        self.live += 1
        try:
            if 0 < self._options.rate < 1:  # nothing need wait so long to know that it is taken
                yield Delta("", 0, prompt_tokens)
            for number, piece in enumerate(answer, 1):
                await self._until_due(start, number)
                for index in range(answers):
                    yield piece.delta(index, prompt_tokens)
        finally:
            self.live -= 1

    async def perform(self, task: tasks.Task, request_id: str) -> tasks.Tokenized | tasks.Detokenized:
        """A word's token is its place among those seen so far. Raises EngineError: 5006 for one there is not."""
        if isinstance(task, tasks.Detokenize):
            return tasks.Detokenized(text=" ".join(map(self._word, task.tokens)))
        assert isinstance(task, tasks.Tokenize)
        features.check(task.request, self.info)
        words = [word for text in _texts(task.request) for word in text.split()]
        tokens = [self._places.setdefault(word, len(self._places)) for word in words]
        return tasks.Tokenized(tokens=tokens, pieces=words, window=self._options.context_window)

    def _word(self, token: int) -> str:
        if not 0 <= token < len(self._places):
            raise tasks.no_such_token(token)
        return next(islice(self._places, token, None))

    async def _until_due(self, start: float, number: int) -> None:
        """Each piece has its own time, counted from the start: a late one does not delay the rest."""
        due = start + number / self._options.rate if self._options.rate else 0
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def sleep(self) -> int:
        self._asleep = self._options.sleeps
        return int(self._asleep)

    async def wake(self) -> None:
        self._asleep = False

    async def aclose(self) -> None:
        """Nothing to free."""


def _prompt_tokens(request: Generate) -> int:
    return sum(len(text.split()) for text in _texts(request))


def _texts(request: Generate) -> list[str]:
    if request.messages is None:
        return [request.prompt or " ".join(map(str, request.prompt_tokens))]
    return [_text(message.get("content")) for message in request.messages]


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """A message's text: a string, or the OpenAI list of ``{"type": "text", "text": …}`` parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return content or ""


def _answer(request: Generate, options: EchoOptions, max_tokens: int) -> Iterable[_Piece]:
    """Thoughts, then a call or words, made as they are asked for; only the last piece has a reason.

    Raises EngineError at once for a call or for JSON that it cannot make.
    """
    thoughts = [] if request.reasoning_effort == "none" else options.reasoning.split()[:max_tokens]
    room = max_tokens - len(thoughts)
    rule = scripted.rule_for(_texts(request)[-1], {tool["function"]["name"] for tool in request.tools})
    if rule is None or (rule.tool and request.tool_choice == "none"):
        answer = _call(request, options, room) or _words(request, options.tokens, room)
    elif rule.tool:
        call = ScriptedCall(rule.tool, rule.arguments)
        answer = _call(request, msgspec.structs.replace(options, tool_call=call), room)
    else:
        answer = _said(_PIECES.findall(rule.text), request, room)
    return chain((_Piece(reasoning=word) for word in _spaced(thoughts)), answer) if thoughts else answer


def _call(request: Generate, options: EchoOptions, room: int) -> list[_Piece]:
    """The call, in two pieces as real models' parsers make them. Empty where there is none to make."""
    call, choice = options.tool_call, request.tool_choice
    names = [tool["function"]["name"] for tool in request.tools] if choice != "none" else []
    if isinstance(choice, dict):
        names = [choice["function"]["name"]]
    if call is None or call.name not in names:
        if choice is not None and choice not in ("auto", "none"):
            raise features.refused("tool_choice", "echo")
        return []
    begun = {"index": 0, "id": "call_0", "type": "function", "function": {"name": call.name, "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": msgspec.json.encode(call.arguments).decode()}}
    reason = "tool_calls" if room >= 2 else "length"
    return [*[_Piece(call=begun), _Piece(call=rest)][:room], _Piece(reason=reason)]


def _words(request: Generate, tokens: int | None, room: int) -> Iterator[_Piece]:
    prompt = [*_texts(request)][-1]
    if request.json_schema is not None:
        _check_json(prompt)
    words = prompt.split() or [""]
    return _said(_spaced(words if tokens is None else islice(cycle(words), min(tokens, room + 1))), request, room)


def _said(words: Iterable[str], request: Generate, room: int) -> Iterator[_Piece]:
    """Of more than there is room for, one is asked for: the reason is ``length`` then."""
    if request.stop:
        begun = [*islice(words, room + 1)]
        pieces, stop = _cut(begun[:room], request.stop)
        reason = "stop" if stop or len(begun) <= room else "length"
        return chain(map(_Piece, pieces), [_Piece(reason=reason, stop=stop)])
    return _told(iter(words), room)


def _told(words: Iterator[str], room: int) -> Iterator[_Piece]:
    yield from map(_Piece, islice(words, room))
    yield _Piece(reason="stop" if next(words, None) is None else "length")


def _check_json(prompt: str) -> None:
    try:
        msgspec.json.decode(prompt)
    except (msgspec.DecodeError, RecursionError):
        raise features.no_json() from None


def _spaced(words: Iterable[str]) -> Iterator[str]:
    return (word if number == 0 else " " + word for number, word in enumerate(words))


def _cut(pieces: list[str], stop: list[str]) -> tuple[list[str], str]:
    """The pieces up to the first stop string, which is left out; and that string."""
    text = "".join(pieces)
    found = [(at, word) for at, word in ((text.find(word), word) for word in stop if word) if at >= 0]
    if not found:
        return pieces, ""
    kept, (room, word) = [], min(found)
    for piece in pieces:
        kept.append(piece[:room])
        room -= len(kept[-1])
    return [piece for piece in kept if piece], word
