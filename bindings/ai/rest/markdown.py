"""REST: ``POST …/ai/tomarkdown`` with files in a form, ``GET …/ai/tomarkdown/supported``.

Facts: docs/reference/workers-ai.md#tomarkdown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.errors import bad_input, unreadable_body
from bindings.ai.http.auth import AI_ROOT, Auth
from bindings.ai.http.responses import succeeded
from bindings.ai.markdown.convert import Document, MarkdownConverter
from bindings.base import Route
from runtime.errors import RequestError
from runtime.web import File, FormData, Request, Response


class MarkdownRest:
    def __init__(self, markdown: MarkdownConverter, auth: Auth) -> None:
        self._markdown, self._auth = markdown, auth

    def routes(self) -> list[Route]:
        path = AI_ROOT + "/tomarkdown"
        supported = self._auth.routes(path + "/supported", GET=self.supported)
        return [*self._auth.routes(path, POST=self.transform), *supported]

    async def transform(self, request: Request, request_id: str, account: str) -> Response:
        """Fields ``files`` (or ``files[]``), repeated, and ``conversionOptions``, which is JSON."""
        form = await _form(request)
        files = [file for name in ("files", "files[]") for file in form.get_all(name)]
        if not files or not all(isinstance(file, File) for file in files):
            raise bad_input("the form needs one or more files named 'files'")
        documents = [Document(file.name, bytes(file), file.type) for file in files]
        result = await self._markdown.transform(documents, _json(form.get("conversionOptions")))
        return succeeded(result, {"cf-ai-req-id": request_id})

    async def supported(self, request: Request, request_id: str, account: str) -> Response:
        return succeeded(self._markdown.supported(), {"cf-ai-req-id": request_id})


async def _form(request: Request) -> FormData:
    try:
        return await request.form_data()
    except TypeError as error:
        raise bad_input(str(error)) from None
    except RequestError as error:
        raise unreadable_body(error) from None


def _json(text: File | str | None) -> Any:
    try:
        return msgspec.json.decode(bytes(text) if isinstance(text, File) else text) if text else None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise bad_input(f"conversionOptions is not valid JSON: {error}") from None


__all__ = ["MarkdownRest"]
