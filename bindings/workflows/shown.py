"""Workflows, instances and steps, as Cloudflare's REST API shows them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from bindings.storage.resources import About
from bindings.workflows.engine.rows import DO, WAIT, Instance, Step
from bindings.workflows.engine.store import View
from bindings.workflows.engine.workflow import terms_kept
from runtime.values.wire import SET, opened, set_members

_SHOWN_BYTES = 8 * 1024 * 1024  # of the outputs of one instance's steps
_HIDDEN = "[REDACTED]"  # the output of a step whose config says "sensitive"
_TYPES = {DO: "step"}
_decode = msgspec.msgpack.Decoder().decode
_KEY = "default"  # there is one version of a workflow: its worker's that answers


def workflow(about: About, counts: Mapping[str, int]) -> dict[str, object]:
    terms = terms_kept(about)
    return {
        "id": about.id, "name": about.id, "script_name": terms.worker if terms else "",
        "class_name": terms.class_name if terms else "", "created_on": about.created, "modified_on": about.created,
        "triggered_on": None, "version_id": _KEY, "instances": counts,
    }  # fmt: skip


def version(about: About) -> dict[str, object]:
    terms = terms_kept(about)
    return {
        "id": _KEY, "workflow_id": about.id, "class_name": terms.class_name if terms else "",
        "created_on": about.created, "modified_on": about.created,
    }  # fmt: skip


def instance(workflow: str, found: Instance) -> dict[str, object]:
    """In a list."""
    return {
        "id": found.id, "status": found.status, "workflow_id": workflow, "version_id": _KEY,
        "created_on": moment(found.created), "modified_on": moment(found.modified),
        "started_on": moment(found.started), "ended_on": moment(found.ended),
    }  # fmt: skip


def details(view: View) -> dict[str, object]:
    """With its steps."""
    found, failure, left = view.instance, view.instance.failure, _SHOWN_BYTES
    steps: list[dict[str, object]] = []
    for step in view.steps:
        left -= len(step.result or b"")
        steps.append(_step(step, view.attempts.get(step.position, []), left >= 0))
    if found.status == "terminated":
        steps.append({"type": "termination", "trigger": {"source": "api"}})
    error = None if failure is None else {"name": failure["name"], "message": failure["message"]}
    return {
        "status": found.status, "params": plain(found.params), "trigger": {"source": found.source}, "versionId": _KEY,
        "queued": moment(found.created), "start": moment(found.started), "end": moment(found.ended),
        "success": found.status == "complete" if found.has_ended else None, "steps": steps, "error": error,
        "output": plain(found.output), "due": moment(found.due), "step_count": len(view.steps),
    }  # fmt: skip


def _step(step: Step, failed: list[tuple[int, int, int, dict[str, Any]]], with_output: bool) -> dict[str, object]:
    facts = step.facts
    shown: dict[str, object] = {
        "name": f"{step.name}-{step.nth}", "type": _TYPES.get(step.kind, step.kind), "start": moment(step.started),
        "end": moment(step.ended), "error": _error(step.failure) if step.status == "failed" else None,
    }  # fmt: skip
    if step.kind == DO:
        output = _HIDDEN if facts.get("secret") and step.result else plain(step.result) if with_output else None
        success = {"done": True, "failed": False}.get(step.status)
        return {
            **shown, "success": success, "output": output, "config": facts["config"],
            "attempts": _attempts(step, failed), "due": moment(step.due),
        }  # fmt: skip
    shown |= {"finished": step.status in ("done", "failed"), "due": moment(step.due)}
    if step.kind == WAIT:
        shown |= {"event": facts["type"], "output": plain(step.result) if with_output else None}
    return shown


def _attempts(step: Step, failed: list[tuple[int, int, int, dict[str, Any]]]) -> list[dict[str, object]]:
    """The last one is not among those that are kept, unless it has failed."""
    shown: list[dict[str, object]] = [
        {"start": moment(began), "end": moment(ended), "success": False, "error": _error(error)}
        for _, began, ended, error in failed
    ]
    if step.status in ("running", "done"):
        success = True if step.status == "done" else None
        shown.append({"start": moment(step.began), "end": moment(step.ended), "success": success, "error": None})
    return shown


def _error(failure: Mapping[str, Any]) -> dict[str, object]:
    return {"name": failure.get("name", "Error"), "message": failure.get("message", "")}


def moment(ms: int | None) -> str | None:
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(content: bytes | None) -> object:
    """As JSON can say it: bytes in base64, a Set as its members."""
    if content is None:
        return None
    try:
        return _plain(_decode(content))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return "[cannot be shown]"


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Ext):
        return list(map(_plain, set_members(value))) if value.code == SET else str(opened(value))
    return value if not isinstance(value, float) or (value == value and abs(value) != float("inf")) else None


__all__ = ["details", "instance", "moment", "plain", "version", "workflow"]
