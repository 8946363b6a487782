"""What type checkers are told of ``env.AI``: ``worker/ai.py`` does it. The type parameters are the ids of models that
answer with text, that make embeddings, and all others."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar, overload

from bindings.ai.worker.ai import AIStream
from bindings.ai.worker.gateway import AIGateway
from bindings.ai.worker.values import Result
from runtime.web import AbortSignal, Response

Text = TypeVar("Text", bound=str)
Embedding = TypeVar("Embedding", bound=str)
Other = TypeVar("Other", bound=str)

class Message(TypedDict):
    role: Literal["system", "user", "assistant", "tool", "developer"]
    content: NotRequired[Any]
    tool_calls: NotRequired[Sequence[Mapping[str, Any]]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]
    reasoning_content: NotRequired[str]

class _TextOptions(TypedDict, total=False):
    prompt: str
    messages: Sequence[Message]
    raw: bool
    image: Any
    functions: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    tool_choice: Any
    parallel_tool_calls: bool
    response_format: Mapping[str, Any]
    guided_json: Any
    lora: str
    max_tokens: int
    max_completion_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: Any
    n: int
    logprobs: Any
    top_logprobs: int
    logit_bias: Mapping[str, float]
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    reasoning_effort: str | None
    chat_template_kwargs: Mapping[str, Any]
    stream_options: Mapping[str, Any]
    user: str

class TextInputs(_TextOptions, total=False):
    stream: Literal[False]

class StreamedInputs(_TextOptions):
    stream: Literal[True]

class EmbeddingInputs(TypedDict):
    text: str | Sequence[str]
    pooling: NotRequired[Literal["mean", "cls"]]
    truncate_inputs: NotRequired[bool]
    query: NotRequired[str]
    contexts: NotRequired[Sequence[Mapping[str, str]]]

class _RunOptions(TypedDict, total=False):
    gateway: Mapping[str, Any]
    signal: AbortSignal
    prefix: str
    extraHeaders: Mapping[str, str]
    sessionOptions: Mapping[str, Any]
    queueRequest: bool
    tags: Sequence[str]

class RunOptions(_RunOptions, total=False):
    returnRawResponse: Literal[False]

class RawOptions(_RunOptions):
    returnRawResponse: Literal[True]

class AI(Generic[Text, Embedding, Other]):
    last_request_id: str | None
    last_request_http_status_code: int | None
    last_request_internal_status_code: int | None
    ai_gateway_log_id: str | None
    lastRequestId: str | None
    lastRequestHttpStatusCode: int | None
    lastRequestInternalStatusCode: int | None
    aiGatewayLogId: str | None
    @overload
    async def run(self, model: Text, inputs: StreamedInputs, options: RunOptions = ...) -> AIStream: ...
    @overload
    async def run(self, model: Text, inputs: TextInputs, options: RunOptions = ...) -> Result: ...
    @overload
    async def run(self, model: Embedding, inputs: EmbeddingInputs, options: RunOptions = ...) -> Result: ...
    @overload
    async def run(self, model: Other, inputs: Mapping[str, Any], options: RunOptions = ...) -> Any: ...
    @overload
    async def run(
        self, model: Text, inputs: StreamedInputs | TextInputs | Mapping[Literal["requests"], Any], options: RawOptions
    ) -> Response: ...
    @overload
    async def run(self, model: Embedding | Other, inputs: Mapping[str, Any], options: RawOptions) -> Response: ...
    async def models(self, params: Mapping[str, Any] = ...) -> list[Result]: ...
    def gateway(self, id: str) -> AIGateway: ...
    def to_markdown(self, files: Any = ..., options: Any = ...) -> Any: ...
    def toMarkdown(self, files: Any = ..., options: Any = ...) -> Any: ...
    def get_logs(self) -> list[Any]: ...
    def getLogs(self) -> list[Any]: ...
