"""What the search of Vectorize is at least: a matrix times a vector, and the ten largest, in the server itself."""

import random

import numpy as np
from applications import Message, Receive, Scope, Send

VECTORS, DIMENSIONS, TOP = 100_000, 384, 10
matrix = np.random.default_rng(1).standard_normal((VECTORS, DIMENSIONS), dtype=np.float32)


def nearest() -> str:
    vector = np.asarray([random.gauss(0, 1) for _ in range(DIMENSIONS)], dtype=np.float32)
    scores = matrix @ vector
    best = np.argpartition(scores, -TOP)[-TOP:]
    return str(best[np.argmax(scores[best])])


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = (nearest() if scope["path"] == "/vectorize/query" else "x" * 1024).encode()
    head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    await send(head)
    await send({"type": "http.response.body", "body": body})
