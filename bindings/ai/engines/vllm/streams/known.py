"""Requests like one that vLLM has made before: a copy of that, with its own prompt, seed and length.

What vLLM checks and fills in when it admits plain text depends on the settings alone, and clients send the same ones
again and again. So the first request with any settings goes through ``AsyncLLM.add_request``, and what comes out of it
is kept; the others cost a copy. Whatever this vLLM puts into a request is in the copy as well.
"""

from __future__ import annotations

import copy
import time
from typing import Any

from bindings.ai.engine.protocol import Generate
from bindings.ai.engines.vllm.interfaces import EngineCoreRequest

MAX_KNOWN = 256  # settings; more than a project has, unless every request has its own
_REPLACED = {"request_id", "external_req_id", "prompt_token_ids", "sampling_params", "arrival_time"}

Settings = tuple[Any, ...]


def settings_of(request: Generate) -> Settings:
    """All that a request for plain text may ask for, but how much of it and which seed."""
    return (
        request.temperature, request.top_p, request.top_k, request.seed is None, request.repetition_penalty,
        request.frequency_penalty, request.presence_penalty,
    )  # fmt: skip


class KnownRequests:
    """By their settings; those known longest go first where there are too many."""

    def __init__(self) -> None:
        self._made: dict[Settings, EngineCoreRequest] = {}

    def keep(self, settings: Settings, request: EngineCoreRequest) -> None:
        """``request``: as vLLM has made it."""
        if settings in self._made or not _REPLACED.issubset(getattr(request, "__struct_fields__", ())):
            return
        if len(self._made) >= MAX_KNOWN:
            del self._made[next(iter(self._made))]
        self._made[settings] = kept = copy.copy(request)
        kept.prompt_token_ids = []

    def like(self, request: Generate, tokens: list[int], max_tokens: int, name: str) -> EngineCoreRequest | None:
        """vLLM's request for ``tokens``, which are some; None: it has made none with these settings."""
        known = self._made.get(settings_of(request))
        if known is None:
            return None
        made = copy.copy(known)
        made.request_id = made.external_req_id = name
        made.prompt_token_ids, made.arrival_time = tokens, time.time()
        made.sampling_params = params = copy.copy(known.sampling_params)
        params.seed, params.max_tokens = request.seed, max_tokens
        return made


__all__ = ["MAX_KNOWN", "KnownRequests", "Settings", "settings_of"]
