"""Which adapter a request's ``lora`` means."""

from __future__ import annotations

from typing import Protocol

from bindings.ai.catalog.models import Model
from bindings.ai.errors import bad_input, lora_unsupported


class Adapters(Protocol):
    """The adapters kept here, by id and by name; ``bindings.ai.finetunes.store`` has the real ones."""

    async def find(self, lora: str, model: Model) -> str:
        """The adapter's folder. Raises ModelError 5005 when ``model`` takes none, 5006 when there is no such one."""

    async def aclose(self) -> None: ...


class NoAdapters:
    async def find(self, lora: str, model: Model) -> str:
        refuse_without_lora(model)
        raise bad_input(f"there is no finetune '{lora[:100]}'")

    async def aclose(self) -> None:
        """There is nothing to close."""


def refuse_without_lora(model: Model) -> None:
    """Raises ModelError 5005 for a model that takes no adapters."""
    if not model.lora:
        raise lora_unsupported(model.id)


__all__ = ["Adapters", "NoAdapters", "refuse_without_lora"]
