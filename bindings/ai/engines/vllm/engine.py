"""The ``vllm`` engine: vLLM 0.26 to 0.33, on a GPU and, through the same code, with its CPU build.

Theory of operation
-------------------
``AsyncLLM`` runs here; the model runs in a process that it starts (EngineCore). Prompts are rendered by vLLM's own
renderer, which knows the model's chat template, and counted before anything is asked of the model. Each
engine step yields at most one delta per answer; one that is wanted ``whole`` has two, its first token and the rest.
Closing the generator aborts the request. Answers that are plain text do without the generator: ``feed`` has them
from ``streams.steps``.

Options are the fields of ``AsyncEngineArgs``, ``chat_template`` (a file, or the template itself) and
``tool_call_parser`` (see ``parsers``). Ours where nothing is said: ``max_model_len=-1`` (as long as fits the
memory), no statistics in the log, nothing sent home; with ``enable_lora`` adapters up to rank 32; on a CPU also 1 GiB
for the KV cache, a share of the *free* memory, and no compilation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext

from bindings.ai.engine import features, tasks
from bindings.ai.engine.protocol import Delta, EngineInfo, EngineSpec, Generate, Progress, check_limits
from bindings.ai.engines import hub
from bindings.ai.engines.vllm.chat import Chats
from bindings.ai.engines.vllm.errors import ErrorTranslator
from bindings.ai.engines.vllm.grammar import StructuredOutputs
from bindings.ai.engines.vllm.interfaces import AsyncLLM, SamplingParams
from bindings.ai.engines.vllm.load import describe, load_text
from bindings.ai.engines.vllm.lora import LoadedAdapters, Turns
from bindings.ai.engines.vllm.parsers import Parsers
from bindings.ai.engines.vllm.read import GenerateCall
from bindings.ai.engines.vllm.sampling import hold_back, patch_stop_strings, within
from bindings.ai.engines.vllm.sleep import Sleep
from bindings.ai.engines.vllm.streams.plain import PlainText
from bindings.ai.engines.vllm.streams.steps import StepRouter
from bindings.ai.engines.vllm.streams.stream import Stream
from bindings.ai.engines.vllm.streams.tokens import quicken
from runtime.errors import ConfigError
from runtime.places import expanded
from runtime.wire import PushSource


class VLLMEngine:
    def __init__(
        self, llm: AsyncLLM, plain: PlainText, chats: Chats | None, grammars: StructuredOutputs, info: EngineInfo
    ) -> None:
        self.info, self._generating = info, 0
        self._llm, self._plain, self._chats, self._grammars = llm, plain, chats, grammars
        self._errors, self._sleep = ErrorTranslator(), Sleep(llm)
        self._adapters = LoadedAdapters(llm, self._errors.dead)
        self._turns = Turns() if "lora" in info.features and info.device == "cpu" else None
        self._steps: StepRouter | None = None

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> VLLMEngine:
        """Load the model; tens of seconds. Raises UserError with a remedy."""
        await asyncio.to_thread(hub.check_available, spec.model)
        progress("load", None)
        options = dict(spec.options)
        template = _template(options.pop("chat_template", None))
        llm, parsers = await asyncio.to_thread(load_text, spec.model, options, template)
        patch_stop_strings()
        progress("warm-up", None)
        engine = await cls._of(llm, spec.model, template, parsers)
        if engine._turns is None:
            engine._steps = await StepRouter.before(llm, engine._errors.translate)
        await engine._warm_up()
        return engine

    @classmethod
    async def _of(cls, llm: AsyncLLM, model: str, template: str | None, parsers: Parsers) -> VLLMEngine:
        encode = await asyncio.to_thread(quicken, getattr(llm.renderer, "tokenizer", None))
        grammars = StructuredOutputs(llm)
        plain = await PlainText.of(llm, template, grammars, encode)
        chats = Chats(llm, template, parsers, grammars) if plain.chat is not None else None
        await asyncio.to_thread(grammars.choose_backend, tagged=chats is not None and await chats.tagged())
        return cls(llm, plain, chats, grammars, describe(llm, model, _features(llm, chats)))

    @property
    def alive(self) -> bool:
        return not self._llm.errored

    @property
    def live(self) -> int:
        return self._generating + (len(self._steps.streams) if self._steps else 0)

    def feed(self, request: Generate, request_id: str) -> PushSource | None:
        if self._steps is None or not self._is_plain(request):
            return None
        request, stream = within(request), Stream(self._steps, whole=request.whole)
        with self._errors.translated():
            if self._is_known(stream, request, request_id, self._steps):
                return stream.feed
            params = self._plain.params(request)
        if not self._steps.takes(params):
            return None
        return stream.begin(self._admit(stream, request, params, request_id))

    def _is_known(self, stream: Stream, request: Generate, request_id: str, steps: StepRouter) -> bool:
        """Whether the model has it now, since one like it came before."""
        if request.stop or not (tokens := self._plain.tokens(request)):
            return False
        max_tokens = check_limits(request, len(tokens), self.info.context_window)
        return steps.add_known(stream, request, tokens, max_tokens, request_id)

    async def _admit(self, stream: Stream, request: Generate, params: SamplingParams, request_id: str) -> None:
        assert self._steps is not None
        prompt = await self._plain.render(request)
        stream.prompt_tokens = len(prompt["prompt_token_ids"])
        params.max_tokens = check_limits(request, stream.prompt_tokens, self.info.context_window)
        await self._steps.add(stream, prompt, params, request_id, request)

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        features.check(request, self.info)
        with self._errors.translated():
            call = await self._prepare(request)
            length = len(call.prompt["prompt_token_ids"])
            call.params.max_tokens = check_limits(request, length, self.info.context_window)
            turn = self._turns.turn(adapted=request.lora is not None) if self._turns else nullcontext()
            async with turn, aclosing(self._deltas(call, request_id)) as deltas:
                async for delta in deltas:
                    yield delta

    async def perform(self, task: tasks.Task, request_id: str) -> tasks.Tokenized | tasks.Detokenized:
        """The tokens of a prompt, the text of tokens. Raises EngineError: 5006 for a token there is not."""
        with self._errors.translated():
            if isinstance(task, tasks.Detokenize):
                return tasks.Detokenized(text=self._plain.written(task.tokens))
            assert isinstance(task, tasks.Tokenize)
            features.check(task.request, self.info)
            tokens = await self._tokens(task)
            return tasks.Tokenized(tokens=tokens, pieces=self._plain.pieces(tokens), window=self.info.context_window)

    async def _tokens(self, task: tasks.Tokenize) -> list[int]:
        if task.request.raw and not task.special:
            prompt = await self._plain.render_bare(task.request.prompt or "")
        else:
            prompt = (await self._prepare(task.request)).prompt
        return list(prompt["prompt_token_ids"])

    async def _deltas(self, call: GenerateCall, request_id: str) -> AsyncGenerator[Delta, None]:
        self._generating += 1
        try:
            async with aclosing(self._llm.generate(call.prompt, call.params, request_id, **call.options)) as results:
                async for result in results:
                    for output in result.outputs:
                        yield call.readers[output.index].read(output, result)
        finally:
            self._generating -= 1

    def _is_plain(self, request: Generate) -> bool:
        """Whether it is text in and text out."""
        return not any(True for _ in features.requested(request)) and not self._concerns_chats(request)

    def _concerns_chats(self, request: Generate) -> bool:
        return self._chats is not None and self._chats.concerns(request)

    async def _prepare(self, request: Generate) -> GenerateCall:
        request = within(request)
        chats = self._chats if self._concerns_chats(request) else None
        call = await (chats or self._plain).ask(request)
        self._grammars.check(call.params)
        if request.whole:
            hold_back(call.params)
        if request.lora is not None:
            call.options["lora_request"] = await self._adapters.get(request.lora)
        if request.trace_headers:  # read where vLLM has an otlp_traces_endpoint
            call.options["trace_headers"] = request.trace_headers
        return call

    async def _warm_up(self) -> None:
        """One token: kernels are compiled and vLLM's own tasks are started before anybody waits for them."""
        async with aclosing(self.generate(Generate(prompt="Hi", raw=True, max_tokens=1), "warm-up")) as deltas:
            async for _ in deltas:
                pass

    async def sleep(self) -> int:
        return await self._sleep.begin()

    async def wake(self) -> None:
        await self._sleep.end()

    async def aclose(self) -> None:
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report the end as a crash
        await asyncio.to_thread(self._llm.shutdown, 3.0)


def _template(option: str | None) -> str | None:
    """A chat template is told from the name of a file by its braces."""
    if option is None or "{" in option:
        return option
    try:
        return expanded(option, "vllm: chat_template").read_text("utf-8")
    except OSError as error:
        remedy = "Name a file that is there, or write the template itself."
        what = f"cannot read {option}: {error.strerror}"
        raise ConfigError(what, where="vllm: chat_template", remedy=remedy) from None


def _features(llm: AsyncLLM, chats: Chats | None) -> frozenset[str]:
    has = {"lora": llm.vllm_config.lora_config, "image_url": llm.model_config.multimodal_config}
    missing = {name for name, config in has.items() if config is None}
    return frozenset(features.FEATURES) - missing - (set() if chats else features.CHAT_ONLY)
