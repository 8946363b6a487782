"""One class's objects, as the supervisor has them: a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bindings.storage.resources import About


class Namespace:
    def __init__(self, folder: Path, about: About) -> None:
        self.folder, self.id = folder, about.id

    async def aclose(self) -> None:
        """The files are another process's."""


__all__ = ["Namespace"]
