"""``from cloudflare_ai import Ai``: the wrapper of the announcement, ``import { Ai } from '@cloudflare/ai'``.

    ai = Ai(env.AI, {"sessionOptions": {"ctx": ctx}})
    stream = await ai.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "...", "stream": True})

As in its last release, it adds nothing: ``run`` is ``env.AI.run`` with these options.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Ai"]


class Ai:
    """``binding`` is ``env.AI``. Raises ``TypeError`` when there is none."""

    def __init__(self, binding: Any, options: Any = None) -> None:
        if not hasattr(binding, "run"):
            raise TypeError('Ai(env.AI): the AI binding is missing; wrangler.toml wants  [ai] binding = "AI"')
        self._binding, self._options = binding, options
        self.last_request_id: str | None = None

    async def run(self, model: str, inputs: Any) -> Any:
        """What ``env.AI.run`` answers."""
        try:
            return await self._binding.run(model, inputs, self._options)
        finally:
            self.last_request_id = self._binding.last_request_id

    def get_logs(self) -> list[Any]:
        """Empty, as upstream."""
        return []

    getLogs = get_logs
    lastRequestId = property(lambda self: self.last_request_id)
