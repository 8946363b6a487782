"""All indexes of one state folder, by name. What an index is (dimensions, metric) never changes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bindings.base import ProductContext
from bindings.storage.resources import About, Resources
from bindings.vectorize.errors import DUPLICATE_INDEX, INDEX_NOT_FOUND, INVALID, VectorizeError
from bindings.vectorize.settings import MAX_INDEX_NAME_BYTES, PRESETS, IndexConfig

if TYPE_CHECKING:
    from bindings.vectorize.index import VectorIndex

FILE = "vectors.sqlite"


class Indexes:
    """A supervisor gives its ``context``; a command works beside it."""

    def __init__(self, state: Path, context: ProductContext | None = None) -> None:
        self.kept: Resources[VectorIndex] = Resources(state, "vectorize", _open, context)

    def find(self, name: str) -> VectorIndex | None:
        """As it is now, so that one which a command makes is there at the next call."""
        self.kept.claim()
        return self.kept.find(name)

    def get(self, name: str) -> VectorIndex:
        """Raises VectorizeError where there is none."""
        if (index := self.find(name)) is None:
            raise VectorizeError(INDEX_NOT_FOUND, missing(name))
        return index

    def create(self, name: str, config: IndexConfig, description: str = "") -> About:
        """Raises VectorizeError: there is one of that name."""
        if self.kept.about(name) is not None:
            raise VectorizeError(DUPLICATE_INDEX, f'there is an index "{name}" already')
        self.kept.create(name, None, {**msgspec.to_builtins(config), "description": description})
        about = self.kept.about(name)
        assert about is not None
        return about


def _open(folder: Path, about: About) -> VectorIndex:
    from bindings.vectorize.index import VectorIndex  # numpy: only for who searches

    return VectorIndex(folder / FILE, config_of(about))


def config_of(about: About) -> IndexConfig:
    return msgspec.convert(about.facts, IndexConfig)


def missing(name: str) -> str:
    command = f"pilot vectorize create {shlex.quote(name)} --dimensions 384 --metric cosine"
    return f'there is no index "{name}". Create it:  {command}'


def parse_name(given: object) -> str:
    if not isinstance(given, str) or not given or len(given.encode()) > MAX_INDEX_NAME_BYTES:
        raise VectorizeError(INVALID, f"an index's name has 1 to {MAX_INDEX_NAME_BYTES} bytes")
    return given


def parse_config(given: object) -> IndexConfig:
    """``{"dimensions", "metric"}`` or ``{"preset"}``."""
    if isinstance(given, dict) and given.get("preset") is not None:
        if (config := PRESETS.get(given["preset"])) is None:
            raise VectorizeError(INVALID, f'no preset "{given["preset"]}"; there are: {", ".join(PRESETS)}')
        return config
    try:
        return msgspec.convert(given, IndexConfig)
    except msgspec.ValidationError as error:
        raise VectorizeError(INVALID, f"config: {error}") from None


__all__ = ["Indexes", "config_of", "missing", "parse_config", "parse_name"]
