"""What ``pilot run`` was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bindings.ai.catalog.resolve import Served
from bindings.ai.terminal.project import Project


class Asked(NamedTuple):
    """``options``: of the request, beside its messages."""

    project: Project
    served: Served
    system: str | None
    options: Mapping[str, Any]
    as_json: bool


__all__ = ["Asked"]
