"""What a server says when it refuses, in whatever form, as an ``EngineError`` with its meaning.

Facts: docs/reference/workers-ai.md#errors.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bindings.ai.engine.protocol import EngineError
from bindings.ai.error_table import CAPACITY, ENGINE_REFUSED, INTERNAL, NO_SUCH_MODEL, TIMEOUT

MAX_TEXT_CHARS = 2000  # characters that are passed on
_TEXT_FIELDS = ("error", "message", "detail", "errors", "msg", "title", "description")  # the text's, best first
_STATUS_WORDS = (  # what its type or code says, where it gives no status
    (401, ("authentication", "invalid_api_key", "unauthorized")),
    (403, ("permission", "forbidden")),
    (404, ("not_found",)),
    (429, ("rate_limit", "quota", "overloaded", "too_many")),
    (408, ("timeout",)),
    (400, ("invalid", "bad_request", "badrequest", "context_length", "content_policy", "content_filter")),
)
REMEDY = "start it, or correct base_url in models.yaml or OPENAI_BASE_URL"


def refusal(status: int, body: str | bytes, where: str, instead: str = "") -> EngineError:
    """Of an HTTP answer. A refused key is not quoted: the text may hold a part of it. ``instead``: what to ask for
    where there is no such model."""
    text = words(decoded(body)) or f"HTTP {status}"
    return _error(status, text + instead if status == 404 else text, where)


def failure(value: object, where: str) -> EngineError:
    """Of an ``error`` inside an answer that began well, decoded."""
    return _error(_status(value), words(value) or "The server reports an error and does not say which", where)


def _error(status: int, text: str, where: str) -> EngineError:
    if status in (401, 403):
        return EngineError(INTERNAL, f"The upstream server refuses the key (HTTP {status})")
    if status in (429, 503, 529):
        return EngineError(CAPACITY, f"{CAPACITY.text} ({where}: {text})")
    if status in (408, 504):
        return EngineError(TIMEOUT, text)
    if status == 404:
        return EngineError(NO_SUCH_MODEL, f"{where} has no such model or route: {text}")
    if status >= 500:
        return EngineError(INTERNAL, text)
    return EngineError(ENGINE_REFUSED, text)


def words(value: object) -> str:
    """The sentence in an error: OpenAI's, FastAPI's, Ollama's, Google's, Cloudflare's or a page."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(words, value)))[:MAX_TEXT_CHARS]
    if isinstance(value, dict):
        found = (words(value[name]) for name in _TEXT_FIELDS if value.get(name))
        text = next(filter(None, found), "") or msgspec.json.encode(value).decode()
        place = ".".join(map(str, value.get("loc") or ()))  # of FastAPI's complaints
        return (f"{place}: {text}" if place else text)[:MAX_TEXT_CHARS]
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    return (_page(text) if text.startswith("<") else text)[:MAX_TEXT_CHARS]


def _page(text: str) -> str:
    """What a person would read of an HTML page."""
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", " ", text[:100_000]) or text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def decoded(body: str | bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body if isinstance(body, str) else body.decode(errors="replace")


def _status(value: object) -> int:
    """The HTTP status that an error would have had. 500 where it says nothing of the kind."""
    inner = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(inner, dict):
        return 500
    values = [inner.get(name) for name in ("status_code", "code", "status", "type")]
    for each in values:
        if str(each).isdigit() and 400 <= int(str(each)) < 600:
            return int(str(each))
    named = " ".join(map(str, values)).lower()
    return next((status for status, names in _STATUS_WORDS if any(name in named for name in names)), 500)


@asynccontextmanager
async def upstream(base: str, timeout_s: float) -> AsyncGenerator[None, None]:
    """What the network does, as ``EngineError``. ``base``: the server's URL, without a password."""
    import aiohttp

    try:
        yield
    except TimeoutError:
        text = f"{base} was silent for {timeout_s:g} s (more: openai: {{timeout_s: …}} in models.yaml)"
        raise EngineError(TIMEOUT, text) from None
    except aiohttp.ClientConnectorError as error:
        raise EngineError(INTERNAL, f"no server answers at {base}: {error.os_error.strerror}; {REMEDY}") from None
    except (aiohttp.ClientError, msgspec.DecodeError, ValueError) as error:
        raise EngineError(INTERNAL, f"{base}: {error or type(error).__name__}") from None


__all__ = ["REMEDY", "decoded", "failure", "refusal", "upstream", "words"]
