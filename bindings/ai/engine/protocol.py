"""What an engine is: the protocol every engine file implements, and the table that names them.

Theory of operation
-------------------
An engine lives in a process of its own (``bindings.ai.engine.server``), one process per distinct ``EngineSpec``,
and outlives every reload of every worker. The supervisor talks to it through ``bindings.ai.engine.client``,
which offers the very same ``generate``. Whoever stops iterating, stops the model: closing the async
generator that ``generate`` returned aborts the request inside the engine.

Heavy libraries (vllm, torch, llama.cpp) are imported inside the engine's ``open`` and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from bindings.ai.error_table import BAD_INPUT, CAPACITY, CONTEXT_EXCEEDED, INTERNAL, TIMEOUT
from runtime.api.error_code import ErrorCode
from runtime.wire import PushSource

MAX_WINDOW_TOKENS = 2**31 - 1  # where no window is known

Progress = Callable[[str, float | None], None]
"""``progress(stage, fraction)``: stage is ``download``, ``load`` or ``warm-up``; fraction 0..1 or None."""


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine, which weights, which options: equal specs share one engine process.

    ``model``       a path, a Hugging Face repo id, or the upstream's own model name (``openai``)
    ``options``     passed to the engine as they are; the head of each engine's file lists them
    ``runner``      what the model is run for: ``generate``, or another of ``bindings.ai.catalog.kinds.RUNNERS``
    """

    engine: str
    model: str
    options: dict[str, Any] = {}
    runner: str = "generate"


class Generate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One text-generation request, already validated.

    Names and ranges are Workers AI's: docs/reference/workers-ai.md#text-generation.

    Exactly one of ``prompt``, ``prompt_tokens`` and ``messages`` is set. ``raw`` sends the prompt to the model
    untouched; otherwise a prompt becomes a single user message and goes through the model's chat template.
    """

    prompt: str | None = None
    prompt_tokens: list[int] = []  # ids of the model's own tokenizer; always raw
    messages: list[dict[str, Any]] | None = None
    raw: bool = False
    max_tokens: int = 256
    fill: bool = False  # nobody said how many: as many as ``check_limits`` finds room for
    clip: bool = False  # ``max_tokens`` is a wish: fewer where there is less room
    temperature: float = 0.6
    unasked: list[str] = []  # those of these two that nobody asked for: another server has its own
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: list[str] = []
    context_window: int | None = None  # limit on prompt + max_tokens; the engine's own is a limit too
    max_input_tokens: int | None = None  # limit on the prompt alone
    max_output_tokens: int | None = None  # limit on max_tokens alone
    json_schema: dict[str, Any] | None = None  # the answer must match this schema; ``{}``: any JSON object
    tools: list[dict[str, Any]] = []  # OpenAI's form: {"type": "function", "function": {...}}
    tool_choice: str | dict[str, Any] | None = None  # "auto", "none", "required" or OpenAI's named function
    parallel_tool_calls: bool = True
    n: int = 1  # answers to make; a delta says which in ``extra.index``
    logprobs: int | None = None  # alternatives per token; 0: the chosen token alone
    logit_bias: dict[str, float] = {}  # token id → bias
    ignore_eos: bool = False
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] = {}
    lora: str | None = None  # the folder of an adapter
    whole: bool = False  # nobody reads it before its end: what follows the first delta may wait until then
    trace_headers: dict[str, str] = {}  # W3C Trace Context, for an engine that traces as well


class Extra(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a delta rarely has beside its text. ``tool_calls`` and ``logprobs`` have OpenAI's stream form:
    ``[{"index", "id", "type", "function": {"name", "arguments"}}]`` and ``[{"token", "logprob", "bytes",
    "top_logprobs"}]``. ``stop_sequence``: the one of ``stop`` that ended it, where the engine knows."""

    index: int = 0
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []
    cached_tokens: int = 0
    stop_sequence: str = ""


class Delta(msgspec.Struct, array_like=True):
    """What one engine step added to one request.

    ``text`` may be empty (a token that is only part of a character). ``tokens`` is how many tokens this
    delta stands for. The last delta (of each of ``n`` answers) has ``finish_reason`` (``stop``, ``length``,
    ``tool_calls``, ``content_filter``); every delta carries the prompt's length in tokens, known before the
    first token is made. The first one may be empty: the engine has taken the request, and nothing is refused any more.
    """

    text: str
    tokens: int = 1
    prompt_tokens: int = 0
    finish_reason: str | None = None
    extra: Extra | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.tokens or self.text or self.finish_reason or self.extra)


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an opened engine says of itself."""

    engine: str
    model: str  # what really answers: a file name, a repo id
    version: str  # of the library behind it
    device: str  # "cpu", "cuda: NVIDIA H200", "remote"
    context_window: int | None  # tokens; None when the engine does not know (openai)
    features: frozenset[str] = frozenset()  # what it can do beside text: of ``bindings.ai.engine.features.FEATURES``


class EngineError(Exception):
    """A refusal or failure: a row of the table of errors, and what is said of this one."""

    def __init__(self, row: ErrorCode, description: str = "") -> None:
        self.row, self.description = row, description or row.text
        self.code, self.status, self.name = row.code, row.status, row.name
        super().__init__(self.description)

    @property
    def fields(self) -> dict[str, Any]:
        """What crosses between processes beside the name and the text."""
        return {"code": self.code}


def bad_input(detail: str) -> EngineError:
    return EngineError(BAD_INPUT, BAD_INPUT.describe(detail=detail))


class EngineLost(EngineError):
    """429 / 3040: the model's process ended under the request. It is being restarted: ask again."""

    def __init__(self) -> None:
        super().__init__(CAPACITY, "The model stopped and is being restarted, please try again.")

    @property
    def fields(self) -> dict[str, Any]:
        return {**super().fields, "lost": True}


class ModelUnavailable(EngineError):
    """500 / 3043: the model cannot be loaded here; ``description`` says why and what to do about it."""

    def __init__(self, description: str) -> None:
        super().__init__(INTERNAL, description)


class StillLoading(EngineError):
    """408 / 3007: the caller's patience (``load_timeout``) ended before the model was ready."""

    def __init__(self, model: str, seconds: float, detail: str = "") -> None:
        why = f": {detail}" if detail else ", please try again."
        super().__init__(TIMEOUT, f"{model} is still loading after {seconds:g} s{why}")


class ContextExceeded(EngineError):
    """413 / 5021, raised before inference."""

    def __init__(self, tokens: int, limit: int, what: str = "input and maximum output tokens") -> None:
        super().__init__(CONTEXT_EXCEEDED, CONTEXT_EXCEEDED.describe(what=what, tokens=tokens, limit=limit))


class Engine(Protocol):
    """One loaded model. ``live`` is the number of requests the model is working on right now."""

    info: EngineInfo
    alive: bool
    """False once the model can answer no more (its own process died): the engine's process then ends."""

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> Engine:
        """Load the model. Raises ``UserError`` (with a remedy) when it cannot be had."""

    def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        """Stream deltas, one or more per engine step. Raises ``EngineError`` before the first delta when
        the request is refused. ``aclose()`` on the generator aborts the request inside the engine."""

    @property
    def live(self) -> int: ...

    async def aclose(self) -> None:
        """Free the model and end every process it started."""


@runtime_checkable
class Feeding(Protocol):
    """An engine that can do without a task switch per token."""

    def feed(self, request: Generate, request_id: str) -> PushSource | None:
        """What ``generate`` would stream, put into a feed as it is made; None: this one is for ``generate``."""


@runtime_checkable
class Sleeping(Protocol):
    """An engine whose model can leave its device and come back, while nothing is asked of it."""

    async def sleep(self) -> int:
        """How deep it sleeps from here on: 0 not at all, 1 the weights are in this machine's memory, 2 on its disk."""

    async def wake(self) -> None:
        """As it was before, but for what it had cached. Raises whatever keeps it from that."""


ENGINES: dict[str, str] = {
    "vllm": "bindings.ai.engines.vllm.engine:VLLMEngine",
    "llamacpp": "bindings.ai.engines.llamacpp.engine:LlamaCppEngine",
    "openai": "bindings.ai.engines.openai.engine:OpenAIEngine",
    "echo": "bindings.ai.engines.echo:EchoEngine",
}


def check_limits(request: Generate, prompt_tokens: int, engine_window: int | None) -> int:
    """How many tokens may be made. Refuses what cannot fit, before inference (413 / 5021)."""
    least = 1 if request.fill or request.clip else request.max_tokens
    if request.max_input_tokens is not None and prompt_tokens > request.max_input_tokens:
        raise ContextExceeded(prompt_tokens, request.max_input_tokens, "input tokens")
    if request.max_output_tokens is not None and least > request.max_output_tokens:
        raise ContextExceeded(least, request.max_output_tokens, "maximum output tokens")
    windows = [window for window in (request.context_window, engine_window) if window is not None]
    for window in windows:
        if prompt_tokens + least > window:
            raise ContextExceeded(prompt_tokens + least, window)
    rooms = [window - prompt_tokens for window in windows]
    return min(
        [
            *rooms,
            request.max_output_tokens or MAX_WINDOW_TOKENS,
            MAX_WINDOW_TOKENS if request.fill else request.max_tokens,
        ]
    )


__all__ = [
    "ENGINES",
    "ContextExceeded",
    "Delta",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineLost",
    "EngineSpec",
    "Extra",
    "Feeding",
    "Generate",
    "ModelUnavailable",
    "Progress",
    "Sleeping",
    "StillLoading",
    "check_limits",
]
