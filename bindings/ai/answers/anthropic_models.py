"""``GET /v1/models`` for Anthropic's clients, which tell themselves by ``anthropic-version``."""

from __future__ import annotations

import datetime
from typing import Any

from bindings.ai.catalog.items import unix_time
from bindings.ai.catalog.models import Model
from runtime.web import Request


def is_anthropic(request: Request) -> bool:
    return request.headers.has("anthropic-version")


def row(model: Model) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(unix_time(model.created_at) or 0, datetime.UTC)
    return {"type": "model", "id": model.id, "display_name": model.id, "created_at": f"{created:%Y-%m-%dT%H:%M:%SZ}"}


def page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All of them: there is no second page."""
    ids = [each["id"] for each in rows] or [None]
    return {"data": rows, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


__all__ = ["is_anthropic", "page", "row"]
