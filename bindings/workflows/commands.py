"""``pilot workflows``: the words of ``wrangler workflows``, on those of the worker here or of a host."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import click
import msgspec

from bindings.target import Target, Where, print_json, with_target
from bindings.workflows.rest import local_api
from runtime.errors import UserError

ROOT = "workflows"
LATEST = "latest"  # in the place of an instance's id
_MARKS = {True: "done", False: "failed", None: "goes on"}


@click.group(short_help="Begin workflows, and see and steer their instances.")
def workflows() -> None:
    """See and steer workflows: of the worker here, also while it is served, or of a host."""


@workflows.command("list", short_help="List workflows.")
@with_target
def list_workflows(where: Where) -> None:
    """Print each workflow, its class, its worker, and how many instances it has."""
    found = _call(where, "GET", f"{ROOT}?per_page=1000")
    rows = [(item["name"], item["class_name"], item["script_name"], _counted(item["instances"])) for item in found]
    where.tell(found, _table(("name", "class", "worker", "instances"), rows) if rows else "There are no workflows.")


@workflows.command("describe", short_help="What a workflow is.")
@click.argument("name")
@with_target
def describe(name: str, where: Where) -> None:
    """Print what workflow NAME is, as JSON."""
    print_json(_call(where, "GET", _below(name)))


@workflows.command("trigger", short_help="Begin an instance.")
@click.argument("name")
@click.argument("params", default="")
@click.option("--id", help="Of the instance. Default: a random one.")
@with_target
def trigger(name: str, params: str, id: str | None, where: Where) -> None:
    """Begin an instance of workflow NAME, with PARAMS, which are JSON."""
    body: dict[str, object] = {} if id is None else {"instance_id": id}
    if params:
        body["params"] = _json(params, "PARAMS")
    made = _call(where, "POST", _below(name, "instances"), body)
    where.tell(made, f'Workflow instance "{made["id"]}" has been queued. It runs while its worker is served.')


@workflows.command("delete", short_help="Remove a workflow.")
@click.argument("name")
@click.option("-y", "--force", is_flag=True, help="Do not ask.")
@with_target
def delete(name: str, force: bool, where: Where) -> None:
    """Remove workflow NAME with all its instances. A worker that has it makes it again."""
    if not force and sys.stdin.isatty():
        click.confirm(f'Delete the workflow "{name}" and its instances?', abort=True)
    done = _call(where, "DELETE", _below(name))
    where.tell(done, f'Deleted workflow "{name}"')


@workflows.group("instances", short_help="List, describe, pause, resume, restart, terminate, delete.")
def instances() -> None:
    """The instances of a workflow. ID may be "latest"."""


@instances.command("list", short_help="List instances.")
@click.argument("name")
@click.option("--status", help="Only those: queued, running, paused, errored, terminated, complete.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@click.option("--per-page", type=click.IntRange(1, 100), default=25, show_default=True)
@with_target
def list_instances(name: str, status: str | None, page: int, per_page: int, where: Where) -> None:
    """Print a page of the instances of workflow NAME, the newest first."""
    query = {"page": page, "per_page": per_page, **({"status": status} if status else {})}
    found = _call(where, "GET", f"{_below(name, 'instances')}?{urlencode(query)}")
    rows = [(item["id"], item["created_on"], item["status"]) for item in found]
    where.tell(found, _table(("id", "created", "status"), rows) if rows else "There are none.")


@instances.command("describe", short_help="An instance and its steps.")
@click.argument("name")
@click.argument("id", default=LATEST)
@with_target
def describe_instance(name: str, id: str, where: Where) -> None:
    """Print instance ID of workflow NAME: its status and its steps."""
    found = _of(where, name, id, lambda target, path: target.call("GET", path))
    where.tell(found, _described(found))


@instances.command("pause", short_help="Let it stop, for now.")
@click.argument("name")
@click.argument("id")
@with_target
def pause(name: str, id: str, where: Where) -> None:
    """Pause instance ID of workflow NAME, once the step that runs has ended."""
    _change(where, name, id, {"status": "pause"}, "paused")


@instances.command("resume", short_help="Let it go on.")
@click.argument("name")
@click.argument("id")
@with_target
def resume(name: str, id: str, where: Where) -> None:
    """Let instance ID of workflow NAME go on where it was paused."""
    _change(where, name, id, {"status": "resume"}, "resumed")


@instances.command("restart", short_help="Begin it anew.")
@click.argument("name")
@click.argument("id")
@click.option("--from-step-name", help="The first step to run again. Default: all of them.")
@click.option("--from-step-count", type=click.IntRange(1), default=1, show_default=True, help="Which of that name.")
@click.option("--from-step-type", type=click.Choice(("do", "sleep", "waitForEvent")), default="do", show_default=True)
@with_target
def restart(
    name: str, id: str, from_step_name: str | None, from_step_count: int, from_step_type: str, where: Where
) -> None:
    """Begin instance ID of workflow NAME anew, from its beginning or from a step."""
    origin = {"name": from_step_name, "count": from_step_count, "type": from_step_type}
    _change(where, name, id, {"status": "restart", **({"from": origin} if from_step_name else {})}, "restarted")


@instances.command("terminate", short_help="End it.")
@click.argument("name")
@click.argument("id")
@with_target
def terminate(name: str, id: str, where: Where) -> None:
    """End instance ID of workflow NAME at once."""
    _change(where, name, id, {"status": "terminate"}, "terminated")


@instances.command("delete", short_help="Remove it.")
@click.argument("name")
@click.argument("id")
@with_target
def delete_instance(name: str, id: str, where: Where) -> None:
    """End instance ID of workflow NAME, and remove what is kept of it."""
    done = _of(where, name, id, lambda target, path: target.call("DELETE", path))
    where.tell(done, f'Deleted instance "{done["id"]}"')


@instances.command("send-event", short_help="Send it an event.")
@click.argument("name")
@click.argument("id")
@click.option("--type", "kind", required=True, help="What a step waits for.")
@click.option("--payload", default="{}", help="JSON.")
@with_target
def send_event(name: str, id: str, kind: str, payload: str, where: Where) -> None:
    """Send instance ID of workflow NAME an event."""
    content = _json(payload, "--payload")
    done = _of(where, name, id, lambda target, path: target.call("POST", f"{path}/events/{quote(kind, '')}", content))
    where.tell(done, f'Sent "{kind}" to instance "{done["id"]}"')


def _change(where: Where, name: str, id: str, body: object, done: str) -> None:
    told = _of(where, name, id, lambda target, path: target.call("PATCH", f"{path}/status", body))
    where.tell(told, f'The instance "{id}" of {name} was {done}. It is {told["status"]}.')


def _of(where: Where, name: str, id: str, use: Callable[[Target, str], Awaitable[Any]]) -> Any:
    """What ``use(target, the instance's path)`` gives."""

    async def work(target: Target) -> Any:
        known = id
        if id == LATEST:
            newest = await target.call("GET", f"{_below(name, 'instances')}?per_page=1")
            if not newest:
                raise UserError(
                    "has no instances", where=f"the workflow {name!r}", remedy=f"pilot workflows trigger {name}"
                )
            known = newest[0]["id"]
        return await use(target, _below(name, f"instances/{quote(known, '')}"))

    return where.run(local_api, work)


def _call(where: Where, method: str, path: str, body: object = None) -> Any:
    def use(target: Target) -> Awaitable[Any]:
        return target.call(method, path, body)

    return where.run(local_api, use)


def _below(name: str, path: str = "") -> str:
    return f"{ROOT}/{quote(name, '')}" + (f"/{path}" if path else "")


def _json(text: str, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        raise UserError(f"{text!r:.200} is not JSON", where=what, remedy="""Write:  '{"order": 1}'""") from None


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def _described(found: dict[str, Any]) -> str:
    head = [("Instance", found["id"]), ("Status", found["status"]), ("Queued", found["queued"])]
    head += [(label, found[key]) for label, key in (("Start", "start"), ("End", "end")) if found[key]]
    if found["error"]:
        head.append(("Error", found["error"]["message"].rstrip().rpartition("\n")[2]))
    rows = [_row(step) for step in found["steps"] if step["type"] != "termination"]
    text = "\n".join(f"{label + ':':<10}{value}" for label, value in head)
    return text + ("\n\n" + _table(("step", "type", "state", "attempts", "start", "end"), rows) if rows else "")


def _row(step: dict[str, Any]) -> tuple[str, ...]:
    if step["type"] == "step":
        state = _MARKS[step["success"]]
    else:
        state = "failed" if step["error"] else "done" if step["finished"] else f"until {step['due']}"
    attempts = str(len(step["attempts"])) if "attempts" in step else ""
    return step["name"], step["type"], state, attempts, step["start"], step["end"] or ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in (heads, *rows))
