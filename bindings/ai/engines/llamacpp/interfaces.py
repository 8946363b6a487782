"""xllamacpp's objects as Protocols, with what is used of them here: it is imported only when a model is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Json = dict[str, Any]


class LlamaServer(Protocol):
    """llama.cpp's server with a model in it. Both methods block until the answer is complete."""

    def handle_completions(self, body: Json, arrived: Callable[[Json], bool], /) -> None:
        """``arrived`` is called for each chunk, in the caller's thread; returning True ends the completion."""

    def handle_embeddings(self, body: Json, /) -> Json: ...


__all__ = ["Json", "LlamaServer"]
