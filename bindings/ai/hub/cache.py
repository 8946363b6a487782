"""Hugging Face's cache: ``models--ORG--NAME/`` with ``refs/main`` (a commit) and ``snapshots/COMMIT/FILE``, which are
links into ``blobs/CHECKSUM``. See https://huggingface.co/docs/huggingface_hub/guides/manage-cache."""

from __future__ import annotations

import os
from pathlib import Path

from bindings.ai.hub.names import wanted

WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt")


def hub_cache() -> Path:
    for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(name):
            return _home(value) / below
    return hub_home() / "hub"


def hub_home() -> Path:
    """Where a token is kept as well."""
    if value := os.environ.get("HF_HOME"):
        return _home(value)
    return _home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"


def folder_of(repository: str) -> Path:
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def cached_repository(repository: str) -> Path | None:
    """The newest whole snapshot of ``org/name`` that a model can be loaded from."""
    folder = folder_of(repository)
    if any(folder.glob("blobs/*.incomplete")):
        return None
    snapshots = [path.parent for path in folder.glob("snapshots/*/config.json") if files_of(path.parent)]
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


def cached_gguf(name: str) -> Path | None:
    """The file that ``org/name:Q4_K_M`` or ``org/name:FILE.gguf`` means: of a model in parts, the first."""
    if (meant := wanted(name)) is None or not meant.variant:
        return None
    found = [path for path in folder_of(meant.repository).glob("snapshots/*/**/*.gguf") if path.exists()]
    newest = sorted(found, key=lambda path: (-path.stat().st_mtime, path.name))
    return next((path for path in newest if meant.means(path.name)), None)


def files_of(folder: Path) -> list[Path]:
    """Those of weights."""
    return [path for path in folder.iterdir() if path.suffix in WEIGHTS and path.exists()]


def _home(path: str) -> Path:
    """A user without a home has nothing there."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(os.devnull)


__all__ = ["WEIGHTS", "cached_gguf", "cached_repository", "files_of", "folder_of", "hub_cache", "hub_home"]
