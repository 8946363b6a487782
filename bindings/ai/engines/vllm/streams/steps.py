"""Plain text straight from the model's steps: what an ``AsyncLLM.generate`` per request costs is left out.

Theory of operation
-------------------
Every step of the model comes as a message from its process. ``StepRouter`` stands before whoever reads the socket
(``socket``): the streams it has taken are answered here, in one pass over the step, and the rest goes on to vLLM. Where
vLLM reads for itself, it stands before ``OutputProcessor.process_outputs``, which is given every step as well.

A request comes here by ``AsyncLLM.add_request``, with all of vLLM's checks; ``OutputProcessor.add_request``, the last
station before the model, is where it is taken. One like it comes without all that (``known``). All tokens of a step
leave in one write of the channel; those who leave in one turn of the loop are told of in one message.

Only a request whose answer is its text is taken. Where vLLM is set to do more (statistics, queue limits, tracing), is
not built as expected, or where the tokenizer has no table, there is no ``StepRouter``: ``generate`` answers all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from bindings.ai.engine.protocol import Generate
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import (
    AsyncLLM,
    EngineCoreOutput,
    EngineCoreRequest,
    Frames,
    Prompt,
    SamplingParams,
)
from bindings.ai.engines.vllm.streams.known import KnownRequests, Settings, settings_of
from bindings.ai.engines.vllm.streams.socket import StepSocket
from bindings.ai.engines.vllm.streams.stream import Stream
from bindings.ai.engines.vllm.streams.text import Table, TableDetokenizer, table
from runtime.isolate.calls.begun import begun

_HOOKED_METHODS = ("process_outputs", "add_request", "propagate_error")
_QUEUE_LIMITS = ("max_num_queued_reqs", "max_num_queued_tokens")
QUIET_S, MAX_WAIT_S = 0.002, 0.02  # without a new request; to wait for such a pause
_numbers = count(1)

Translate = Callable[[Exception], Exception]
"""vLLM's exception as an error of Workers AI."""


class StepRouter:
    """``streams``: those the model works on, by vLLM's own ids."""

    def __init__(self, llm: AsyncLLM, texts: Table, translate: Translate) -> None:
        self._llm, self._processor, self._texts, self.translate = llm, llm.output_processor, texts, translate
        self._awaited: dict[str, tuple[Stream, Settings]] = {}
        self._known = KnownRequests()
        self.streams: dict[str, Stream] = {}
        self._left: list[str] = []
        self._aborts: set[asyncio.Task[None]] = set()
        self._taken: list[Stream] = []
        self._first_taken = self._last_taken = 0.0  # of those
        self._process, self._add, self._propagate = (getattr(self._processor, name) for name in _HOOKED_METHODS)
        StepSocket.before(llm.engine_core, self._on_message)
        for name, station in zip(_HOOKED_METHODS, (self._on_step, self._on_add, self._on_error), strict=True):
            setattr(self._processor, name, station)

    @classmethod
    async def before(cls, llm: AsyncLLM, translate: Translate) -> StepRouter | None:
        """None where this vLLM, as it is set up, cannot do without its own path."""
        if not (compat.has(compat.STEPS) and _can_be_bypassed(llm)):
            return None
        tokenizer, size = llm.output_processor.tokenizer, llm.model_config.get_vocab_size()
        texts = await asyncio.to_thread(table, tokenizer, size)
        return None if texts is None else cls(llm, texts, translate)

    def takes(self, params: SamplingParams) -> bool:
        """Whether the answer is its text and nothing else."""
        return (
            params.n == 1
            and not params.stop
            and params.logprobs is None
            and params.prompt_logprobs is None
            and params.detokenize
            and params.skip_special_tokens
            and not params.include_stop_str_in_output
        )

    def add_known(self, stream: Stream, request: Generate, tokens: list[int], max_tokens: int, request_id: str) -> bool:
        """``add`` of a request like one before, at once. False: there was none."""
        made = self._known.like(request, tokens, max_tokens, f"{request_id}.{next(_numbers)}")
        if made is None or self._llm.errored:
            return False
        stream.prompt_tokens = len(tokens)
        self._take(stream, made)
        try:
            rest = begun(self._llm.engine_core.add_request_async(made))
        except BaseException:
            del self.streams[stream.id]
            raise
        if rest is not None:
            stream.begin(rest)
        self._confirm_later(stream)
        return True

    async def add(
        self, stream: Stream, prompt: Prompt, params: SamplingParams, request_id: str, request: Generate
    ) -> None:
        """Give the request to the model; from here on its steps go to the stream."""
        if hasattr(params, "skip_clone"):
            params.skip_clone = True  # they are this request's own; a deep copy takes 60 µs
        name = f"{request_id}.{next(_numbers)}"
        self._awaited[name] = stream, settings_of(request)
        try:
            await self._llm.add_request(name, prompt, params)
        finally:
            self._awaited.pop(name, None)
        self._confirm_later(stream)

    def abort(self, stream: Stream) -> None:
        if self.streams.pop(stream.id, None) is not None:
            self._left.append(stream.id)
            if len(self._left) == 1:
                asyncio.get_running_loop().call_soon(self._abort_left)

    def _abort_left(self) -> None:
        left, self._left = self._left, []
        task = asyncio.get_running_loop().create_task(self._llm.engine_core.abort_requests_async(left))
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    def _confirm_later(self, stream: Stream) -> None:
        """That the request is taken, once requests no longer come thick and fast: the next one is more urgent."""
        loop = asyncio.get_running_loop()
        self._last_taken = loop.time()
        self._taken.append(stream)
        if len(self._taken) == 1:
            self._first_taken = self._last_taken
            loop.call_later(QUIET_S, self._confirm)

    def _confirm(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._last_taken < QUIET_S and now - self._first_taken < MAX_WAIT_S:
            loop.call_later(QUIET_S, self._confirm)
            return
        streams, self._taken = self._taken, []
        for stream in streams:
            stream.taken()

    def _on_message(self, frames: Frames) -> bool:
        """Whether it is a step of the model; what that adds to vLLM's own requests goes on to its output handler."""
        if not self.streams:
            return False
        try:
            step = self._llm.engine_core.decoder.decode(frames)
        except Exception:  # a process that dies says so in no message: vLLM tells the two apart
            return False
        if step.utility_output is not None or not step.outputs:
            return False
        if others := self._told(step.outputs):
            step.outputs = others
            self._llm.engine_core.outputs_queue.put_nowait(step)
        return True

    # In the place of OutputProcessor's own

    def _on_step(self, outputs: list[EngineCoreOutput], *rest: object, **named: object) -> object:
        return self._process(self._told(outputs), *rest, **named)

    def _told(self, outputs: list[EngineCoreOutput]) -> list[EngineCoreOutput]:
        """Give the streams what is theirs; the rest."""
        streams, others = self.streams, []
        for output in outputs:
            stream = streams.get(output.request_id)
            if stream is None:
                others.append(output)
                continue
            try:
                stream.step(output)
            except Exception as error:
                self.abort(stream)
                stream.fail(error)
        return others

    def _on_add(self, request: EngineCoreRequest, *rest: object, **named: object) -> None:
        awaited = self._awaited.pop(request.external_req_id, None)
        if awaited is None:
            self._add(request, *rest, **named)
            return
        stream, settings = awaited
        self._known.keep(settings, request)
        self._take(stream, request)

    def _take(self, stream: Stream, request: EngineCoreRequest) -> None:
        stream.id, stream.text = request.request_id, TableDetokenizer(self._texts, self._processor.tokenizer, request)
        self.streams[stream.id] = stream

    def _on_error(self, error: Exception) -> None:
        """The model is gone, or its answers can be read no more."""
        streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            stream.fail(error)
        self._propagate(error)


def _can_be_bypassed(llm: AsyncLLM) -> bool:
    processor, scheduler = llm.output_processor, llm.vllm_config.scheduler_config
    return (
        compat.has_attributes(processor, "OutputProcessor")
        and not llm.log_stats
        and getattr(processor, "stream_interval", 1) == 1
        and not getattr(processor, "tracing_enabled", False) and not getattr(processor, "tracer", None)
        and all(getattr(scheduler, name, None) is None for name in _QUEUE_LIMITS)
    )  # fmt: skip


__all__ = ["StepRouter"]
