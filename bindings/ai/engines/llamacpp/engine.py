"""The ``llamacpp`` engine: a GGUF file on the CPU (or a GPU that llama.cpp knows), with no torch in sight.

Theory of operation
-------------------
``xllamacpp`` is llama.cpp's own server as a library: slots that are decoded together in one batch, prompt
caches, chat templates. A completion runs in a thread of ours inside ``handle_completions``, which calls back
for every token and stops when the callback returns true: that is how a request is aborted, at the next token
or, while the prompt is read, at the next batch. Batches are small (``n_batch``) and ``return_progress`` makes
it call back after each. At most ``n_parallel`` requests are inside; the rest wait here: leaving is free.

Chat templates and the tokenizer are not in the library's interface, only in its HTTP server. That one listens
on a Unix socket in a private folder; we send it what it needs and then generate from token ids, so the
number that the limits are checked against is exact.

Tools are told in words and found again in the answer (``tool_prompt``): llama.cpp's own way depends on the template,
and leaves a forced call to the model's good will where it does not understand it. A call that is forced, and an answer
that must match a schema, are kept to by a grammar (``llamacpp.grammar``). ``n`` answers are as many completions.

Options: ``n_ctx`` (tokens per request; default 8192, or less if the model was trained for less),
``n_parallel`` (default 4), ``n_threads`` and ``n_threads_batch`` (default: the physical cores that are ours;
for the tokens of a small model, one), and any field of ``xllamacpp.CommonParams``.

Equal seeds give equal text while a request runs alone; in company, rounding may differ.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from typing import Any, NamedTuple

import msgspec

from bindings.ai.engine import embedded, features, tasks, weights
from bindings.ai.engine.protocol import Delta, EngineError, EngineInfo, EngineSpec, Generate, Progress, check_limits
from bindings.ai.engines import tool_prompt
from bindings.ai.engines.llamacpp.ask import body, is_kept_to_a_grammar, offered_tools, schema, template_options
from bindings.ai.engines.llamacpp.grammar import Grammars
from bindings.ai.engines.llamacpp.interfaces import LlamaServer
from bindings.ai.engines.llamacpp.load import existing, gpus, library, load
from bindings.ai.engines.llamacpp.questions import Questions
from bindings.ai.engines.llamacpp.read import ChunkReader, RunningCompletion
from bindings.ai.engines.thoughts import END, ReasoningSplitter
from bindings.ai.engines.tool_calls import ToolCallReader
from bindings.ai.error_table import ENGINE_REFUSED

FEATURES = frozenset(features.FEATURES) - {"image_url", "lora"}
_DEFAULTS = {"n_ctx": 8192, "n_parallel": 4, "verbosity": 1, "ui": False}


class _Model(NamedTuple):
    """``thinks``: its chat template knows of thoughts. ``vocabulary_size``: how many tokens there are."""

    window: int
    thinks: bool
    vocabulary_size: int


class _Prompt(NamedTuple):
    text: str
    tokens: list[int]


class LlamaCppEngine:
    alive = True

    def __init__(
        self,
        server: LlamaServer,
        questions: Questions,
        model: _Model,
        info: EngineInfo,
        slots: int,
        stack: AsyncExitStack,
    ) -> None:
        self.info, self.live = info, 0
        self._server: LlamaServer | None = server
        self._questions, self._model, self._stack = questions, model, stack
        self._slots = asyncio.Semaphore(slots)
        self._threads = ThreadPoolExecutor(slots, "llama.cpp")
        self._running: set[RunningCompletion] = set()
        self._grammars = Grammars(self._complete)

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> LlamaCppEngine:
        """Fetch the embedded model if that is the one, and load. Raises UserError with a remedy."""
        path = await weights.embedded_model(progress) if spec.model == embedded.NAME else existing(spec.model)
        progress("load", None)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pilot-"))
            options = {**_DEFAULTS, **_template(spec), **spec.options}
            server = await asyncio.to_thread(load, path, options, f"{folder}/llama.sock")
            questions = Questions(f"{folder}/llama.sock")
            model = await _read_model(questions)
            info = _describe(path.name, model)
            return cls(server, questions, model, info, options["n_parallel"], stack.pop_all())
        raise AssertionError("unreachable")

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        features.check(request, self.info)
        self._check_tokens(map(int, request.logit_bias), "logit_bias")
        prompt = await self._prompt(request)
        max_tokens = check_limits(request, len(prompt.tokens), self.info.context_window)
        request = msgspec.structs.replace(request, max_tokens=max_tokens)
        json_schema = schema(request)
        grammar = None if json_schema is None else await self._grammars.of(json_schema)
        answers = [self._answer(request, prompt, grammar, number) for number in range(request.n)]
        async with aclosing(answers[0] if request.n == 1 else _merged(answers)) as deltas:
            async for delta in deltas:
                yield delta

    async def _answer(
        self, request: Generate, prompt: _Prompt, grammar: dict[str, Any] | None, number: int
    ) -> AsyncGenerator[Delta, None]:
        reader = self._reader(request, prompt, number)
        async with aclosing(self._chunks(body(request, prompt.tokens, number, grammar))) as chunks:
            async for chunk in chunks:
                if (delta := reader.read(chunk)) is not None:
                    yield delta

    async def _chunks(self, fields: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """What llama.cpp answers, as soon as there is a slot."""
        await self._slots.acquire()
        completion = self._start(fields)
        try:
            async for chunk in completion.chunks():
                yield chunk
        finally:
            completion.left = True

    async def _complete(self, fields: dict[str, Any]) -> str:
        """The whole text of a completion."""
        async with aclosing(self._chunks(fields)) as chunks:
            return "".join([chunk["choices"][0]["text"] async for chunk in chunks])

    def _reader(self, request: Generate, prompt: _Prompt, number: int) -> ChunkReader:
        forced = features.forced(request)
        calls = ToolCallReader(bare=forced) if offered_tools(request) else None
        thinks = self._model.thinks and not request.raw and not is_kept_to_a_grammar(request)
        return ChunkReader(
            number, len(prompt.tokens), request.logprobs, calls, ReasoningSplitter(prompt.text) if thinks else None
        )

    def _check_tokens(self, numbers: Iterable[int], name: str) -> None:
        """llama.cpp would pass over a token that there is not, or end."""
        for number in numbers:
            if not 0 <= number < self._model.vocabulary_size:
                raise EngineError(ENGINE_REFUSED, f"{name}: the model has no token {number}")

    def _start(self, fields: dict[str, Any]) -> RunningCompletion:
        """Run one completion in a thread; its slot is free again when llama.cpp has let go of it."""
        assert self._server is not None
        completion = RunningCompletion(asyncio.get_running_loop())
        self.live += 1
        self._running.add(completion)
        future = completion.loop.run_in_executor(
            self._threads, self._server.handle_completions, fields, completion.arrived
        )
        future.add_done_callback(lambda done: self._ended(completion, done))
        return completion

    def _ended(self, completion: RunningCompletion, done: asyncio.Future[None]) -> None:
        self.live -= 1
        self._running.discard(completion)
        self._slots.release()
        completion.queue.put_nowait(None if done.cancelled() else done.exception())

    async def _prompt(self, request: Generate) -> _Prompt:
        if request.prompt_tokens:
            self._check_tokens(request.prompt_tokens, "prompt")
            return _Prompt("", request.prompt_tokens)
        text = request.prompt or ""
        if request.messages is not None or not request.raw:
            text = await self._templated(request, request.messages or [{"role": "user", "content": text}])
        fields = {"content": text, "add_special": True, "parse_special": True}
        return _Prompt(text, (await self._questions.ask("/tokenize", fields))["tokens"])

    async def perform(self, task: tasks.Task, request_id: str) -> tasks.Tokenized | tasks.Detokenized:
        """The tokens of a prompt, the text of tokens. Raises EngineError: 5006 for a token there is not."""
        if isinstance(task, tasks.Detokenize):
            for number in task.tokens:
                if not 0 <= number < self._model.vocabulary_size:
                    raise tasks.no_such_token(number)
            answer = await self._questions.ask("/detokenize", {"tokens": task.tokens})
            return tasks.Detokenized(text=answer["content"])
        assert isinstance(task, tasks.Tokenize)
        features.check(task.request, self.info)
        text = (await self._prompt(task.request)).text
        fields = {"content": text, "add_special": task.special, "parse_special": True, "with_pieces": True}
        tokens = (await self._questions.ask("/tokenize", fields))["tokens"]
        return tasks.Tokenized(
            tokens=[one["id"] for one in tokens],
            pieces=[_piece(one["piece"]) for one in tokens],
            window=self.info.context_window,
        )

    async def _templated(self, request: Generate, messages: list[dict[str, Any]]) -> str:
        """The messages, through the chat template."""
        if offered_tools(request) or tool_prompt.has_calls(messages):
            messages = tool_prompt.explain_tools(messages, offered_tools(request))
        fields: dict[str, Any] = {"messages": messages}
        if options := template_options(request):
            fields["chat_template_kwargs"] = options
        text: str = (await self._questions.ask("/apply-template", fields))["prompt"]
        return text

    async def aclose(self) -> None:
        for completion in self._running:
            completion.left = True
        await asyncio.to_thread(self._threads.shutdown)
        await self._stack.aclose()
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        """The destructor waits for llama.cpp's main loop: not for the event loop's thread."""
        self._server = None


def _piece(piece: str | list[int]) -> str:
    """Bytes where it is only part of a character."""
    return piece if isinstance(piece, str) else bytes(piece).decode(errors="replace")


async def _merged(answers: list[AsyncGenerator[Delta, None]]) -> AsyncGenerator[Delta, None]:
    """What several answers bring, as it comes. Leaving ends them all."""
    arrived: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
    tasks = [asyncio.create_task(_forward(answer, arrived)) for answer in answers]
    try:
        running = len(tasks)
        while running:
            item = await arrived.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(answer: AsyncGenerator[Delta, None], arrived: asyncio.Queue[Delta | Exception | None]) -> None:
    try:
        async with aclosing(answer):
            async for delta in answer:
                arrived.put_nowait(delta)
        arrived.put_nowait(None)
    except Exception as error:
        arrived.put_nowait(error)


def _template(spec: EngineSpec) -> dict[str, str]:
    return {"chat_template": embedded.SMOLLM2.chat_template} if spec.model == embedded.NAME else {}


async def _read_model(questions: Questions) -> _Model:
    props = await questions.ask("/props")
    words = (await questions.ask("/v1/models"))["data"][0]["meta"]["n_vocab"]
    return _Model(props["default_generation_settings"]["n_ctx"], END in props["chat_template"], words)


def _describe(name: str, model: _Model) -> EngineInfo:
    devices = gpus()
    return EngineInfo(
        engine="llamacpp",
        model=name,
        version=library().__version__,
        features=FEATURES,
        device=f"gpu: {devices[0]}" if devices else "cpu",
        context_window=model.window,
    )


__all__ = ["FEATURES", "LlamaCppEngine"]
