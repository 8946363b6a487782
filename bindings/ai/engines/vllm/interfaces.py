"""vLLM's objects as Protocols, with what is used of them here: vLLM itself is imported only when a model is opened, by
``compat``, which holds the same names against each version that is served.
"""

from __future__ import annotations

from asyncio import Queue, Task
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

Prompt = dict[str, Any]
"""vLLM's EngineInput; ``prompt_token_ids`` is in all of them."""

Rendered = tuple[Any, list[Prompt]]
"""(the conversations, their prompts)."""


class Logprob(Protocol):
    logprob: float
    decoded_token: str | None


class CompletionOutput(Protocol):
    """What a step has added to one of a request's answers."""

    index: int
    text: str
    token_ids: Sequence[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None
    stop_reason: int | str | None


class RequestOutput(Protocol):
    """What a step has added to a request."""

    outputs: list[CompletionOutput]
    prompt_token_ids: list[int]
    num_cached_tokens: int | None


class EngineCoreOutput(Protocol):
    """What a step of the model has added to a request, before it is text."""

    request_id: str
    new_token_ids: list[int]
    finish_reason: object | None


class EngineCoreRequest(Protocol):
    request_id: str
    external_req_id: str
    prompt_token_ids: list[int]
    sampling_params: SamplingParams
    arrival_time: float


class SamplingParams(Protocol):
    n: int
    seed: int | None
    stop: list[str]
    max_tokens: int | None
    logprobs: int | None
    prompt_logprobs: int | None
    detokenize: bool
    skip_special_tokens: bool
    skip_clone: bool
    include_stop_str_in_output: bool
    structured_outputs: object | None
    stream_interval: int | None


class ChatRequest(Protocol):
    """vLLM's ChatCompletionRequest."""

    tools: list[Any] | None
    tool_choice: object
    structured_outputs: Any

    def build_chat_params(self, template: str | None, content_format: str, /) -> Any: ...
    def to_sampling_params(self, max_tokens: int, defaults: dict[str, Any], /) -> SamplingParams: ...


class Parser(Protocol):
    """Parts one answer into text, thoughts and calls."""

    reasoning_parser: object | None

    def is_reasoning_end(self, prompt: list[int], /) -> bool: ...

    def parse_delta(
        self,
        *,
        delta_text: str,
        delta_token_ids: list[int],
        request: ChatRequest,
        prompt_token_ids: list[int],
        finished: bool,
    ) -> Any: ...

    def parse(
        self, text: str, request: ChatRequest, /, *, enable_auto_tools: bool, model_output_token_ids: list[int]
    ) -> tuple[str | None, str | None, list[Any] | None]: ...


class Detokenizer(Protocol):
    def decode_next(self, token: int, /) -> str: ...


class Tokenizer(Protocol):
    """transformers' tokenizer."""

    def __call__(self, *texts: str, **options: object) -> Mapping[str, list[int]]: ...
    def __len__(self) -> int: ...
    def decode(self, tokens: list[int], **options: object) -> str: ...
    def encode(self, text: str, **options: object) -> list[int]: ...
    def convert_ids_to_tokens(self, tokens: list[int], /) -> list[str]: ...
    def convert_tokens_to_ids(self, token: str, /) -> int: ...

    def get_chat_template(self) -> str: ...

    @property
    def special_tokens_map(self) -> Mapping[str, object]: ...

    @property
    def unk_token_id(self) -> int: ...


class Renderer(Protocol):
    """From messages or text to prompts."""

    tokenizer: Tokenizer
    default_cmpl_tok_params: Any

    def render_chat(self, chats: list[list[dict[str, Any]]], params: object, lengths: object, /) -> Rendered: ...
    def render_cmpl(self, prompts: list[Prompt], lengths: object, /) -> list[Prompt]: ...

    async def render_chat_async(
        self, chats: list[list[dict[str, Any]]], params: object, lengths: object = ..., /
    ) -> Rendered: ...

    async def render_cmpl_async(self, prompts: list[Prompt], lengths: object = ..., /) -> list[Prompt]: ...


class ModelConfig(Protocol):
    max_model_len: int
    hf_config: Any
    pooler_config: Any
    multimodal_config: object | None

    def get_vocab_size(self) -> int: ...
    def try_get_generation_config(self) -> dict[str, Any]: ...


class OutputProcessor(Protocol):
    """Makes text of what each step of the model brings."""

    tokenizer: Tokenizer
    process_outputs: Callable[..., object]
    add_request: Callable[..., None]
    propagate_error: Callable[[Exception], None]


Frames = list[Any]
"""zmq's Frames of one message."""


class Socket(Protocol):
    """zmq's, for asyncio."""

    FD: int
    underlying: int
    recv_multipart: Callable[..., Awaitable[Frames]]
    close: Callable[..., None]


class Resources(Protocol):
    output_socket: Socket
    output_queue_task: Task[None] | None


class EngineCoreOutputs(Protocol):
    """What a step of the model has added to all requests, or the answer to a call."""

    outputs: list[EngineCoreOutput]
    utility_output: object | None


class Decoder(Protocol):
    def decode(self, frames: Frames, /) -> EngineCoreOutputs: ...


class EngineCoreClient(Protocol):
    """The way to the model's process."""

    resources: Resources
    decoder: Decoder
    outputs_queue: Queue[EngineCoreOutputs]

    def abort_requests_async(self, request_ids: list[str], /) -> Any: ...
    def add_request_async(self, request: EngineCoreRequest, /) -> Coroutine[Any, Any, object]: ...


class AsyncLLM(Protocol):
    """A loaded model."""

    errored: bool
    log_stats: bool
    renderer: Renderer
    model_config: ModelConfig
    vllm_config: Any
    output_handler: Task[None] | None
    output_processor: OutputProcessor
    engine_core: EngineCoreClient

    def generate(
        self, prompt: Prompt, params: SamplingParams, request_id: str, /, **more: Any
    ) -> AsyncGenerator[RequestOutput, None]: ...

    def encode(self, prompt: Prompt, params: object, request_id: str, /) -> AsyncGenerator[Any, None]: ...
    def add_request(
        self, request_id: str, prompt: Prompt, params: SamplingParams, /, **more: object
    ) -> Awaitable[object]: ...
    def add_lora(self, request: object, /) -> Awaitable[object]: ...
    def get_supported_tasks(self) -> Awaitable[tuple[str, ...]]: ...
    def get_tokenizer(self) -> Tokenizer: ...
    def shutdown(self, seconds: float, /) -> None: ...


__all__ = [
    "AsyncLLM", "ChatRequest", "CompletionOutput", "Detokenizer", "EngineCoreClient", "EngineCoreOutput",
    "EngineCoreRequest", "Frames", "Logprob", "ModelConfig", "OutputProcessor", "Parser", "Prompt", "RequestOutput",
    "SamplingParams", "Socket", "Tokenizer",
]  # fmt: skip
