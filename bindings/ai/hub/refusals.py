"""What a hub that says no is told of, and what to do."""

from __future__ import annotations

import re

import aiohttp

from runtime.errors import UserError

_AGAIN = "Type it again later: what has come stays. Or name a mirror:  export HF_ENDPOINT=https://..."


def of(response: aiohttp.ClientResponse, endpoint: str, repository: str) -> UserError:
    """Of an answer that is no success. Hugging Face answers 401 to a stranger who asks for what does not exist."""
    code, page = response.headers.get("X-Error-Code", ""), f"{public(endpoint)}/{repository}"
    has_token = "Authorization" in response.request_info.headers
    if code == "GatedRepo" or response.status == 403:
        what = "is gated, and your token may not read it" if has_token else "is gated: its owners want to know who asks"
        remedy = f"Ask for access at  {page}" + ("" if has_token else "\nthen:  export HF_TOKEN=hf_...")
        return UserError(what, where=repository, remedy=remedy)
    if response.status in (401, 404):
        remedy = f"Look at  {page}" + ("" if has_token else "\nIf it is private:  export HF_TOKEN=hf_...")
        return UserError("there is no such repository or file", where=repository, remedy=remedy)
    what, where = f"answered {response.status} {response.reason or ''}".strip(), f"{public(endpoint)}, {repository}"
    return UserError(what, where=where, remedy=_AGAIN)


def unreachable(error: Exception, endpoint: str, repository: str) -> UserError:
    return UserError(f"cannot be had: {str(error) or type(error).__name__}", where=f"{public(endpoint)}, {repository}",
                     remedy=f"Check the connection.\n{_AGAIN}")  # fmt: skip


def public(url: str) -> str:
    """An address without the name and password it may hold."""
    return re.sub(r"//[^/@]*@", "//", url)


__all__ = ["of", "public", "unreachable"]
