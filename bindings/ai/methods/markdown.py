"""``env.AI.toMarkdown``, the host's half: what a worker sends is checked here."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.errors import bad_input
from bindings.ai.markdown.convert import File, Markdown


class MarkdownMethods:
    def __init__(self, markdown: Markdown) -> None:
        self._markdown = markdown

    async def transform(self, request_id: str, files: Any = None, options: Any = None) -> list[dict[str, Any]]:
        """``files``: ``[{"name", "mimeType", "data": bytes or base64}]``; ``options``: ``conversionOptions``."""
        try:
            named = msgspec.convert(files, list[File])
        except msgspec.ValidationError as error:
            raise bad_input(f"files: {error}") from None
        return await self._markdown.transform(named, options)

    async def supported(self, request_id: str) -> list[dict[str, str]]:
        return self._markdown.supported()


__all__ = ["MarkdownMethods"]
