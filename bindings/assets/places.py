"""Where a configuration's assets are. Imported with every product: it imports nothing of them."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.config import Config, watched

KEY = "assets"  # of the configuration, and of an upload's metadata


def directory(config: Config) -> Path | None:
    """Absolute; None where there is none."""
    name = config.products.get(KEY, {}).get("directory")
    return None if name is None else Path(os.path.normpath(config.root / name))


def private(config: Config) -> list[Path]:
    """What is never an asset: secrets, and what is kept."""
    return [*watched(config), config.root / ".pilot", config.root / ".wrangler"]


__all__ = ["KEY", "directory", "private"]
