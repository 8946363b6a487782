"""What type checkers are told of ``env.NAME`` of a queue: ``worker.py`` does it."""

from collections.abc import Iterable
from typing import Literal, NotRequired, TypedDict

from runtime.values import JsDict

_ContentType = Literal["text", "bytes", "json", "v8"]

class QueueSendOptions(TypedDict, total=False):
    contentType: _ContentType
    delaySeconds: int

class QueueMessage(TypedDict):
    body: object
    contentType: NotRequired[_ContentType]
    delaySeconds: NotRequired[int]

class QueueSendBatchOptions(TypedDict, total=False):
    delaySeconds: int

class QueueProducer:
    async def send(
        self, body: object, options: QueueSendOptions = ..., *, contentType: _ContentType = ..., delaySeconds: int = ...
    ) -> JsDict: ...
    async def sendBatch(
        self, messages: Iterable[QueueMessage], options: QueueSendBatchOptions = ..., *, delaySeconds: int = ...
    ) -> JsDict: ...
    async def metrics(self) -> JsDict: ...
