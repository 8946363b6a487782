"""The ``openai`` engine: any server that speaks OpenAI's API (``vllm serve``, Ollama, llama.cpp, a cloud).

Options: ``base_url`` (default ``OPENAI_BASE_URL``, then OpenAI's own), ``api_key`` (default ``OPENAI_API_KEY``),
``timeout_s`` (300: how long it may be silent), ``extra_body`` (sent with every request, e.g. a provider's own
field). Leaving a stream closes its connection, which is how these servers are told to stop.

A server says how long the prompt was at the end of the stream only, so ``prompt_tokens`` is 0 until the last
delta, and limits are checked against an estimate of four bytes a token.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.ai.engine import features
from bindings.ai.engine.protocol import Delta, EngineError, EngineInfo, EngineSpec, Generate, Progress, check_limits
from bindings.ai.engines.openai import errors
from bindings.ai.engines.openai.ask import ServerDialect, path_and_body
from bindings.ai.engines.openai.read import deltas
from bindings.ai.engines.openai.sse import PeekableBody
from bindings.ai.error_table import INTERNAL
from runtime.errors import ConfigError, UserError

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 10.0
MODEL_LIST_TIMEOUT_S = 1.0


class _Named(msgspec.Struct):
    id: str


class _Listed(msgspec.Struct):
    data: list[_Named] = []


class OpenAIOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_url: str | None = None
    api_key: str | None = None
    timeout_s: float = 300
    extra_body: dict[str, Any] = {}


FEATURES = frozenset(features.FEATURES) - {"lora"}  # whether the server can is for the server to say


class OpenAIEngine:
    alive = True

    def __init__(self, session: aiohttp.ClientSession, base: str, info: EngineInfo, options: OpenAIOptions) -> None:
        self.info, self.live = info, 0
        self._session, self._base, self._options = session, base, options
        self._dialect, self._names = ServerDialect(), list[str]()

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> OpenAIEngine:
        """Ask the server whether it is there. Raises UserError when it is not, or refuses the key."""
        options = _options(spec)
        base = (options.base_url or os.environ.get("OPENAI_BASE_URL") or _official(options)).rstrip("/")
        info = EngineInfo(
            engine="openai",
            model=spec.model,
            version="1",
            device=f"remote: {_host(base)}",
            context_window=None,
            features=FEATURES,
        )
        self = cls(_session(options), base, info, options)
        try:
            await self._probe()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        features.check(request, self.info)
        check_limits(request, _estimate(request), None)
        path, body = path_and_body(request, self.info.model)
        body |= self._options.extra_body
        self.live += 1
        try:
            async with self._upstream(), await self._ask(path, body, request.trace_headers) as response:
                failure = partial(errors.failure, where=self.url)
                events = deltas(response.content, request.n, request.logprobs, failure)
                async with aclosing(events):
                    async for delta in events:
                        yield delta
        finally:
            self.live -= 1

    async def _ask(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> aiohttp.ClientResponse:
        """The answer to what is asked, once more in other words where the server wants it so. Raises EngineError."""
        while True:
            adapted = self._dialect.adapted(body)
            response = await self._post(path, json=adapted, headers=headers)
            if response.ok and response.method == "POST":
                return response
            async with response:
                text = await response.text(errors="replace")
            if not self._dialect.learn(adapted, response.status, text):
                raise self._refusal(response, text)

    async def _post(self, path: str, **body: Any) -> aiohttp.ClientResponse:
        """Once more if the connection was a kept one that the server has just closed: it saw no request."""
        import aiohttp

        try:
            return await self._session.post(self._base + path, **body)
        except aiohttp.ServerDisconnectedError:
            return await self._session.post(self._base + path, **body)

    def _refusal(self, response: aiohttp.ClientResponse, text: str) -> EngineError:
        if response.method != "POST":  # so redirects end that are not 307 or 308
            moved = str(response.url.with_user(None).with_query(None))
            return EngineError(INTERNAL, f"{self.url} has moved to {moved}: correct base_url in models.yaml")
        return errors.refusal(response.status, text, self.url, self._instead)

    @property
    def _instead(self) -> str:
        """What to write where the server has no model of this name, and has said which it has."""
        if not self._names or self.info.model in self._names:
            return ""
        return (
            f" (it has {', '.join(self._names[:5])}: write  openai: {{model: {self._names[0]}}}"
            "  under the model's id in models.yaml)"
        )

    def _upstream(self) -> AbstractAsyncContextManager[None]:
        return errors.upstream(self.url, self._options.timeout_s)

    async def aclose(self) -> None:
        await self._session.close()

    @property
    def url(self) -> str:
        """For people: without a name and password that the address may hold."""
        scheme, _, rest = self._base.rpartition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    async def _probe(self) -> None:
        import aiohttp

        try:
            async with self._session.get(f"{self._base}/models") as response:
                status = response.status
                with suppress(TimeoutError):  # it is for a hint, and some servers stream whatever they are asked
                    async with asyncio.timeout(MODEL_LIST_TIMEOUT_S):
                        self._names = _names(await PeekableBody(response.content).rest(1 << 20))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UserError(
                f"no server answers: {error or type(error).__name__}",
                where=self.url,
                remedy=f"{errors.REMEDY[0].upper()}{errors.REMEDY[1:]}.",
            ) from None
        if status in (401, 403):
            raise UserError(
                f"the server refuses the key (HTTP {status})",
                where=self.url,
                remedy="Set OPENAI_API_KEY, or api_key in models.yaml.",
            )


def _names(listed: bytes) -> list[str]:
    """The models that a server says it has; none where it says something else."""
    try:
        return [each.id for each in msgspec.json.decode(listed, type=_Listed).data]
    except msgspec.DecodeError:
        return []


def _options(spec: EngineSpec) -> OpenAIOptions:
    try:
        return msgspec.convert(spec.options, OpenAIOptions)
    except msgspec.ValidationError as error:
        raise ConfigError(
            str(error), where="openai: options", remedy="The options are: " + ", ".join(OpenAIOptions.__struct_fields__)
        ) from None


def _official(options: OpenAIOptions) -> str:
    if _key(options) is None:
        raise ConfigError(
            "no server is named",
            where="openai: base_url",
            remedy="export OPENAI_BASE_URL=http://127.0.0.1:8000/v1\nand OPENAI_API_KEY, if the server wants one",
        )
    return "https://api.openai.com/v1"


def _key(options: OpenAIOptions) -> str | None:
    return options.api_key or os.environ.get("OPENAI_API_KEY") or None


def _session(options: OpenAIOptions) -> aiohttp.ClientSession:
    import aiohttp

    key = _key(options)
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=True,
        read_bufsize=1 << 20,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=options.timeout_s),
    )


def _host(base: str) -> str:
    """For people: without a name and password that the address may hold."""
    return base.partition("://")[2].rpartition("@")[2]


def _estimate(request: Generate) -> int:
    return len(request.prompt_tokens) or len(msgspec.json.encode(request.messages or request.prompt)) // 4
