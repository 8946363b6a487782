"""What must be free before a model is loaded. ``bindings.ai.replicas.gpus`` has the GPUs; here: nothing need be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext


class Room:
    """That of an engine that is counted nowhere."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Of the process, beside this one's own."""
        return {}

    @property
    def detail(self) -> str:
        """What is waited for, if anything is."""
        return ""

    @property
    def node(self) -> str:
        """The machine, where it is another one."""
        return ""

    def is_free(self) -> bool:
        """Whether ``take`` has nothing to wait for."""
        return True

    async def take(self, *, again: bool = False) -> None:
        """Until there is room, which is taken from here on; nothing happens where it is already. ``again``: the very
        same as before. Raises UserError: there can never be."""

    def leave(self) -> None:
        """Others may have it."""

    def loading(self) -> AbstractAsyncContextManager[None]:
        """Held while a model is loaded there: two at once would take each other's memory for their own."""
        return nullcontext()

    async def clear(self) -> bool:
        """End the models that sleep there. False: there were none."""
        return False


__all__ = ["Room"]
