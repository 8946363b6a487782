"""``env.AI.toMarkdown``, the host's half, in the supervisor: what a worker sends is checked here.

The worker's half, which makes the calls, is ``bindings.ai.worker.markdown``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.errors import bad_input
from bindings.ai.markdown.convert import Document, MarkdownConverter


class MarkdownMethods:
    def __init__(self, converter: MarkdownConverter) -> None:
        self._converter = converter

    async def transform(self, request_id: str, files: object = None, options: object = None) -> list[dict[str, Any]]:
        """``files``: ``[{"name", "mimeType", "data": bytes or base64}]``; ``options``: ``conversionOptions``."""
        try:
            documents = msgspec.convert(files, list[Document])
        except msgspec.ValidationError as error:
            raise bad_input(f"files: {error}") from None
        return await self._converter.transform(documents, options)

    async def supported(self, request_id: str) -> list[dict[str, str]]:
        return self._converter.supported()


__all__ = ["MarkdownMethods"]
