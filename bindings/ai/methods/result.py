"""An answer as a call of ``env.AI`` hands it to the worker's half, ``bindings.ai.worker``."""

from __future__ import annotations

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.worker.values import CallResult
from bindings.base import HostStream


def call_result(answer: RunAnswer) -> CallResult | HostStream:
    if answer.stream is not None:
        return HostStream(answer.stream, {"headers": answer.headers})
    return {"result": answer.json, "headers": answer.headers}


__all__ = ["CallResult", "call_result"]
