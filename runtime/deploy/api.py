"""A host as the command line speaks to it: Cloudflare's deploy API over HTTP."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec.structs import replace

from bindings.deploying import Sent
from runtime.api.deploy_errors import NO_TOKEN, NOT_ALLOWED
from runtime.errors import UserError
from runtime.host.store import local_token
from runtime.places import DEFAULT_DATA, expanded

DEFAULT_URL = "http://127.0.0.1:8788"
_CHUNK_BYTES = 64 * 1024
_REMEDY = (
    "Set the token:  export PILOT_API_TOKEN=...\nTo make one, on the host:  pilot host token create NAME\n"
    "A host on this machine with its data elsewhere:  export PILOT_DATA=FOLDER"
)
_CALL_TIMEOUT_S = 300.0  # seconds for one call: a host builds dependencies and opens isolates in it


class Host(msgspec.Struct, frozen=True):
    """``url`` without a slash at its end. The token is never printed."""

    url: str
    token: str

    @classmethod
    def chosen(cls, url: str | None) -> Host:
        """From ``--host``, PILOT_HOST and PILOT_API_TOKEN. Raises UserError, for several too."""
        first, *others = cls.every(url)
        if others:
            what = f"this command speaks to one host, and {1 + len(others)} are named"
            raise UserError(what, where="--host" if url else "PILOT_HOST", remedy=f"Write:  --host {first.url}")
        return first

    @classmethod
    def every(cls, urls: str | None) -> list[Host]:
        """One or several, with commas between them, each once; and so with their tokens. Raises UserError."""
        given = (urls or os.environ.get("PILOT_HOST") or DEFAULT_URL).split(",")
        found = [url.strip().rstrip("/") for url in given if url.strip() or len(given) == 1]
        tokens = _tokens(len(found))
        return [cls._at(url, token) for url, token in dict(zip(found, tokens, strict=True)).items()]

    @classmethod
    def _at(cls, url: str, token: str) -> Host:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{url!r} is not a URL", where="--host", remedy=f"Write:  --host {DEFAULT_URL}")
        return cls(url, token) if token else cls._here(url)

    @classmethod
    def _here(cls, url: str) -> Host:
        """With the token of a host on this machine, if that is one and its data can be read."""
        address = re.sub(r"^http://localhost(?=:|$)", "http://127.0.0.1", url)  # the name may lead to a second address
        try:
            data = expanded(os.environ.get("PILOT_DATA") or DEFAULT_DATA)
        except UserError:  # no home
            return cls(url, "")
        token = local_token.find(data, address)
        return cls(address if token else url, token)

    def with_token(self, token: str) -> Host:
        return replace(self, token=token)

    def at(self, domain: str) -> str:
        """Where a worker of that hostname answers."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{domain}{f':{parts.port}' if parts.port else ''}/"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        form: tuple[bytes, str] | None = None,
        sent: Sent | None = None,
    ) -> Any:
        """The result of one call below ``accounts/host/workers``, or with a slash in front below ``accounts/host``.
        Raises UserError with what the host says."""
        return asyncio.run(self._call(method, path, body, form, sent))

    async def _call(
        self, method: str, path: str, body: object, form: tuple[bytes, str] | None, sent: Sent | None
    ) -> Any:
        below = path if path.startswith("/") else f"/workers/{path}"
        url = path if path.startswith("http") else f"{self.url}/client/v4/accounts/host{below}"
        headers = {"user-agent": "pilot/1"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        data: Any = None if body is None else msgspec.json.encode(body)
        if form is not None:
            data, headers["content-type"] = _pieces(form[0], sent), form[1]
            headers["content-length"] = str(len(form[0]))
        timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT_S, connect=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, data=data, headers=headers) as response,
            ):
                return self._result(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            what = f"no answer: {reason or type(error).__name__}"
            raise UserError(
                what, where=self.url, remedy="Is the host running?  pilot host\nElse name it:  --host URL"
            ) from None

    def _result(self, status: int, content: bytes) -> Any:
        try:
            answer = msgspec.json.decode(content)
            if answer["success"]:
                return answer["result"]
            what = "\n".join(f"{error['message']}" for error in answer["errors"])
            refused = {error["code"] for error in answer["errors"]}
        except (msgspec.DecodeError, KeyError, TypeError):
            what = f"answered {status}, and not as a host does: {content[:200].decode('utf-8', 'replace')}"
            refused = set()
        if NO_TOKEN.code in refused and not self.token:
            what = "it has tokens, and none was given"
        raise UserError(what, where=self.url, remedy=_REMEDY if refused & {NO_TOKEN.code, NOT_ALLOWED.code} else "")


def _tokens(hosts: int) -> list[str]:
    """One for each host, in their order. Raises UserError."""
    given = os.environ.get("PILOT_API_TOKEN") or os.environ.get("CLOUDFLARE_API_TOKEN") or ""
    tokens = [token.strip() for token in given.split(",")]
    if len(tokens) not in (1, hosts):
        remedy = "One for all of them, or one for each, in their order:  export PILOT_API_TOKEN=FIRST,SECOND"
        raise UserError(f"has {len(tokens)} tokens for {hosts} hosts", where="PILOT_API_TOKEN", remedy=remedy)
    return tokens * hosts if len(tokens) == 1 else tokens


async def _pieces(content: bytes, sent: Sent | None) -> AsyncIterator[bytes]:
    for at in range(0, len(content), _CHUNK_BYTES):
        yield content[at : at + _CHUNK_BYTES]
        if sent is not None:
            sent(min(at + _CHUNK_BYTES, len(content)), len(content))


__all__ = ["DEFAULT_URL", "Host"]
