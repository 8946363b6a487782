"""``env.AI`` of a front that is not the first: what is only asked of a model is done here, all else there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bindings.ai.batch.requests import is_batch
from bindings.ai.binding import AIBinding
from bindings.ai.service import AIService
from bindings.base import Binding


class NearBinding(AIBinding):
    """``far``: the binding at the first front, which has the batches, gateways and adapters."""

    def __init__(self, name: str, service: AIService, url: str, far: Binding) -> None:
        super().__init__(name, service, url)
        self._far = far

    async def call(self, method: str, args: Sequence[Any]) -> Any:
        if self._is_near(method, *args):
            return await super().call(method, args)
        return await self._far.call(method, args)

    def _is_near(
        self, method: str, model: object = None, inputs: object = None, options: object = None, headers: object = None
    ) -> bool:
        asked = options if isinstance(options, dict) else {}
        kept = headers or asked.get("gateway") or is_batch(inputs, asked)
        if method != "run" or kept or (isinstance(inputs, dict) and inputs.get("lora")):
            return False
        return isinstance(model, str)


__all__ = ["NearBinding"]
