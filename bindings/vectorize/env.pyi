"""What type checkers are told of ``env.NAME`` of a Vectorize index: ``worker.py`` does it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from runtime.values import JsDict

class VectorizeVector(TypedDict):
    id: str
    values: Sequence[float]
    namespace: NotRequired[str]
    metadata: NotRequired[Mapping[str, Any]]

class VectorizeQueryOptions(TypedDict, total=False):
    topK: int
    namespace: str
    returnValues: bool
    returnMetadata: bool | Literal["all", "indexed", "none"]
    filter: Mapping[str, Any]

class VectorizeIndex:
    async def insert(self, vectors: Sequence[VectorizeVector]) -> JsDict: ...
    async def upsert(self, vectors: Sequence[VectorizeVector]) -> JsDict: ...
    async def query(
        self,
        vector: Sequence[float],
        options: VectorizeQueryOptions = ...,
        *,
        topK: int = ...,
        namespace: str = ...,
        returnValues: bool = ...,
        returnMetadata: bool | Literal["all", "indexed", "none"] = ...,
        filter: Mapping[str, Any] = ...,
    ) -> JsDict: ...
    async def queryById(
        self,
        vectorId: str,
        options: VectorizeQueryOptions = ...,
        *,
        topK: int = ...,
        namespace: str = ...,
        returnValues: bool = ...,
        returnMetadata: bool | Literal["all", "indexed", "none"] = ...,
        filter: Mapping[str, Any] = ...,
    ) -> JsDict: ...
    async def getByIds(self, ids: Sequence[str]) -> list[JsDict]: ...
    async def deleteByIds(self, ids: Sequence[str]) -> JsDict: ...
    async def describe(self) -> JsDict: ...
