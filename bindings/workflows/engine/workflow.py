"""A workflow as what is kept: its database, and the engine where a supervisor has it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bindings.base import ProductContext
from bindings.storage.resources import About
from bindings.workflows.engine.engine import Engine
from bindings.workflows.engine.store import Store
from bindings.workflows.settings import Terms, WorkflowSettings


class Workflow:
    """``engine`` is None for a command, which works beside a supervisor."""

    def __init__(self, folder: Path, about: About) -> None:
        self.about = about
        self.store = Store(folder / "workflow.sqlite")
        self.engine: Engine | None = None

    def serve(self, terms: Terms, context: ProductContext, settings: WorkflowSettings) -> None:
        """Run its instances, as these terms say from now on."""
        if self.engine is None:
            self.engine = Engine(self.about.id, self.store, terms, context, settings)
        else:
            self.engine.serve(terms, settings)

    async def changed(self, id: str | None = None) -> None:
        """Something was written of an instance, or of any."""
        if self.engine is not None:
            await self.engine.look(id)

    async def aclose(self) -> None:
        if self.engine is not None:
            await self.engine.aclose()
        await self.store.aclose()


def terms_kept(about: About) -> Terms | None:
    """As the last configuration had them; None: nobody has said yet, or another release has, which says more."""
    try:
        return msgspec.convert(about.facts, Terms) if about.facts else None
    except msgspec.ValidationError:
        return None


__all__ = ["Workflow", "terms_kept"]
