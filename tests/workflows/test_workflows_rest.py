"""Workflows over Cloudflare's REST API, as commands, on a host and by Wrangler."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner
from cloudflare import AsyncCloudflare

from bindings.workflows.commands import workflows
from hosting import Host, hosting, worker
from runtime.errors import UserError
from serving import Served, serving, write
from workflows_support import noted, notes, running
from wrangler_support import WRANGLERS, on_host

ROOT = "/client/v4/accounts/a/workflows"
TOKEN = {"authorization": "Bearer any"}
ENTRY = """
import asyncio
from workers import Response, WorkflowEntrypoint
from workers.workflows import NonRetryableError

class Orders(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("first", config={"retries": {"limit": 1, "delay": 1}})
        async def first(ctx):
            if ctx.attempt == 1:
                raise ValueError("once")
            return {"n": event.payload.get("n"), "bytes": b"hi"}

        @step.do("secret", config={"sensitive": "output"})
        async def secret():
            return "hush"

        found = [await first(), await secret()]
        await step.sleep("nap", 1)
        if event.payload.get("fail"):
            raise NonRetryableError("no more")
        answer = await step.wait_for_event("answer", "approved", timeout="1 hour")
        return {"n": found[0]["n"], "answer": answer.payload}

async def fetch(request, env):
    instance = await env.ORDERS.create(params={"n": 7})
    return Response(instance.id)
"""
CONFIG = """
[[workflows]]
binding = "ORDERS"
name = "orders"
class_name = "Orders"
limits = { steps = 50 }
default_retention = { success_retention = "3 days" }
"""
PYTHON = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600), pytest.mark.e2e]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with running(tmp_path_factory.mktemp("dev")) as pilot:
        yield pilot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        await running.deploy(worker(tmp_path_factory.mktemp("app"), ENTRY, CONFIG))
        yield running


async def api(pilot: Served, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """(status, result or the first error's message)."""
    async with pilot.http.request(method, f"{pilot.url}{ROOT}{path}", json=body, headers=TOKEN, **options) as response:
        envelope = await response.json()
    assert envelope["success"] == (response.status == 200)
    return response.status, envelope["result"] if envelope["success"] else envelope["errors"][0]["message"]


async def until(pilot: Served, path: str, status: str) -> Any:
    """The instance as the API shows it, once it has that status."""
    async with asyncio.timeout(30):
        while (found := (await api(pilot, "GET", path))[1])["status"] != status:
            await asyncio.sleep(0.05)
    return found


async def cli(pilot: Served, *words: str) -> str:
    """What ``pilot workflows WORDS`` prints, on the worker's files, while ``pilot dev`` serves it."""
    config = ("-c", str(pilot.folder / "wrangler.toml"))
    done = await asyncio.to_thread(CliRunner().invoke, workflows, [*words, *config], catch_exceptions=False)
    assert done.exit_code == 0, (words, done.output)
    return done.output


async def test_workflows_are_listed_and_described(pilot: Served) -> None:
    status, [found] = await api(pilot, "GET", "")
    assert (status, found["name"], found["class_name"], found["script_name"]) == (200, "cases", "Cases", "test")
    assert (await api(pilot, "GET", "/cases"))[1]["id"] == "cases"
    assert [found["class_name"] for found in (await api(pilot, "GET", "/cases/versions"))[1]] == ["Cases"]
    status, message = await api(pilot, "GET", "/nothing")
    assert status == 404
    assert message.startswith('there is no workflow "nothing"')


async def test_an_instance_over_http(pilot: Served) -> None:
    status, made = await api(pilot, "POST", "/cases/instances", {"instance_id": "mine", "params": {"case": "names"}})
    assert (status, made["id"], made["status"]) == (200, "mine", "queued")
    status, message = await api(pilot, "POST", "/cases/instances", {"instance_id": "mine"})
    assert (status, "already exists" in message) == (409, True)
    found = await until(pilot, "/cases/instances/mine", "complete")
    assert (found["params"], found["output"], found["success"]) == ({"case": "names"}, [1, 2], True)
    steps = [(step["name"], step["type"], step["success"], step["output"]) for step in found["steps"]]
    assert steps == [("first-1", "step", True, 1), ("second step-1", "step", True, 2)]
    assert [attempt["success"] for attempt in found["steps"][0]["attempts"]] == [True]
    assert (await api(pilot, "GET", "/cases/instances/nobody"))[0] == 404


async def test_pages_of_instances(pilot: Served) -> None:
    batch = [{"instance_id": f"page-{n}", "params": {"case": "raises"}} for n in range(3)]
    assert len((await api(pilot, "POST", "/cases/instances/batch", batch))[1]) == 3
    for n in range(3):
        await until(pilot, f"/cases/instances/page-{n}", "errored")
    url = f"{pilot.url}{ROOT}/cases/instances?status=errored&per_page=2"
    seen, cursor = [], ""
    while True:
        async with pilot.http.get(f"{url}&cursor={cursor}", headers=TOKEN) as response:
            page = await response.json()
        seen += [row["id"] for row in page["result"]]
        if not (cursor := page["result_info"]["cursor"]):
            break
    assert seen == ["page-2", "page-1", "page-0"]
    assert (await api(pilot, "GET", "/cases/instances?status=odd"))[0] == 400
    assert (await api(pilot, "GET", "/cases/instances?date_end=2020-01-01"))[1] == []
    deleted = await api(pilot, "POST", "/cases/instances/batch/delete", {"instances": ["page-0", "nobody"]})
    assert [row["id"] for row in deleted[1]["deleted"]] == ["page-0"]
    assert [row["id"] for row in deleted[1]["errors"]] == ["nobody"]


async def test_an_instance_is_steered_over_http(pilot: Served) -> None:
    at = "/cases/instances/steered"
    await api(pilot, "POST", "/cases/instances", {"instance_id": "steered", "params": {"case": "waits"}})
    for wanted, then in (("pause", "paused"), ("resume", "running"), ("restart", "running")):
        status, _ = await api(pilot, "PATCH", f"{at}/status", {"status": wanted})
        assert status == 200
        await until(pilot, at, then)
    assert (await api(pilot, "POST", f"{at}/events/go", {"n": 1}))[0] == 200
    found = await until(pilot, at, "complete")
    assert found["output"][1]["payload"] == {"n": 1}
    assert [(step["type"], step["event"], step["finished"]) for step in found["steps"]] == [
        ("waitForEvent", "go", True)
    ]
    status, message = await api(pilot, "PATCH", f"{at}/status", {"status": "terminate"})
    assert (status, "Cannot terminate instance" in message) == (400, True)
    assert (await api(pilot, "PATCH", f"{at}/status", {"status": "odd"}))[0] == 400
    assert (await api(pilot, "DELETE", at))[0] == 200
    assert (await api(pilot, "GET", at))[0] == 404


async def test_the_cloudflare_client_can_use_it(pilot: Served) -> None:
    async with AsyncCloudflare(base_url=f"{pilot.url}/client/v4", api_token="any") as client:
        made = await client.workflows.instances.create("cases", account_id="a", params={"case": "names"})
        await until(pilot, f"/cases/instances/{made.id}", "complete")
        found = await client.workflows.instances.get(made.id, account_id="a", workflow_name="cases")
        assert found.output == [1, 2]
        assert [row.name async for row in client.workflows.list(account_id="a")] == ["cases"]


async def test_commands_work_beside_a_server(pilot: Served) -> None:
    assert "cases  Cases  test" in await cli(pilot, "list")
    assert json.loads(await cli(pilot, "describe", "cases"))["name"] == "cases"
    params = json.dumps({"case": "held"})
    assert 'instance "by-hand" has been queued' in await cli(pilot, "trigger", "cases", params, "--id", "by-hand")
    await noted(pilot, "by-hand held")  # the server has seen it
    assert "It is waitingForPause" in await cli(pilot, "instances", "pause", "cases", "by-hand")
    (notes(pilot) / "go-by-hand").touch()
    await until(pilot, "/cases/instances/by-hand", "paused")
    await cli(pilot, "instances", "resume", "cases", "latest")
    await until(pilot, "/cases/instances/by-hand", "complete")
    shown = await cli(pilot, "instances", "describe", "cases", "by-hand")
    assert "held-1    step  done   1" in shown
    assert "by-hand" in await cli(pilot, "instances", "list", "cases", "--status", "complete")
    await cli(pilot, "instances", "restart", "cases", "by-hand", "--from-step-name", "after")
    await until(pilot, "/cases/instances/by-hand", "complete")
    await cli(pilot, "trigger", "cases", json.dumps({"case": "waits"}), "--id", "waits-by-hand")
    await cli(pilot, "instances", "send-event", "cases", "waits-by-hand", "--type", "go", "--payload", "[1]")
    await until(pilot, "/cases/instances/waits-by-hand", "complete")
    made = json.loads(await cli(pilot, "trigger", "cases", json.dumps({"case": "waits"}), "--json"))
    await cli(pilot, "instances", "terminate", "cases", made["id"])
    await until(pilot, f"/cases/instances/{made['id']}", "terminated")
    assert "Deleted" in await cli(pilot, "instances", "delete", "cases", made["id"])
    for words, said in ((("trigger", "cases", "{"), "is not JSON"), (("trigger", "nothing"), "there is no workflow")):
        with pytest.raises(UserError, match=said):
            await cli(pilot, *words)


async def test_the_commands_of_the_docs(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    page = (Path(__file__).parents[2] / "docs/bindings/workflows.md").read_text("utf-8")
    block = page.partition("## `pilot workflows`")[2].partition("```sh\n")[2].partition("```")[0]
    async with serving(tmp_path) as pilot:
        said = [await cli(pilot, *shlex.split(line)[2:]) for line in block.splitlines()]
    assert "orders  Orders  test" in said[0]
    assert "was terminated" in said[-1]


async def ended_on_host(host: Host, id: str, status: str = "complete") -> Any:
    async with asyncio.timeout(30):
        while True:
            found = (await host.api("GET", f"/client/v4/accounts/host/workflows/orders/instances/{id}"))[1]["result"]
            if found["status"] == status:
                return found
            await asyncio.sleep(0.05)


async def test_on_a_host(host: Host) -> None:
    _, id = await host.get("app")
    output = await host.cli(
        "workflows", "instances", "send-event", "orders", id, "--type", "approved", "--host", host.url
    )
    assert f'Sent "approved" to instance "{id}"' in output
    found = await ended_on_host(host, id)
    assert found["output"] == {"n": 7, "answer": {}}
    first, secret, nap, answer = found["steps"]
    assert [attempt["success"] for attempt in first["attempts"]] == [False, True]
    assert first["output"] == {"n": 7, "bytes": "aGk="}
    assert (secret["output"], nap["type"], answer["type"]) == ("[REDACTED]", "sleep", "waitForEvent")


async def test_a_host_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", ENTRY, CONFIG))
        _, id = await host.get("app")
        await host.api("POST", f"/client/v4/accounts/host/workflows/orders/instances/{id}/events/approved", {"a": 1})
        host.process.kill()
        await host.process.wait()
    async with hosting(tmp_path / "data") as host:
        assert (await ended_on_host(host, id))["output"]["answer"] == {"a": 1}
        await host.cli("delete", "--purge", "--yes", cwd=tmp_path / "app")
        assert not list((tmp_path / "data").rglob("workflow.sqlite"))


async def test_a_version_that_answers_again_runs_its_own_class(tmp_path: Path) -> None:
    entry, config = ENTRY.replace("class Orders", "class Renamed"), CONFIG.replace('"Orders"', '"Renamed"')
    renamed = worker(tmp_path / "new", entry, config)
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", ENTRY, CONFIG))
        await host.deploy(renamed)
        await host.cli("rollback", "1", cwd=renamed)
        _, id = await host.get("app")
        await host.api("POST", f"/client/v4/accounts/host/workflows/orders/instances/{id}/events/approved", {"a": 1})
        assert (await ended_on_host(host, id))["output"] == {"n": 7, "answer": {"a": 1}}


async def test_a_run_that_blocks_its_process_is_ended_and_goes_on(tmp_path: Path) -> None:
    blocks = ENTRY.replace('raise ValueError("once")', "import time; time.sleep(3600)")
    async with hosting(tmp_path / "data", "--limit", "stall_s=2") as host:
        await host.deploy(worker(tmp_path / "app", blocks, CONFIG))
        _, id = await host.get("app")
        await host.api("POST", f"/client/v4/accounts/host/workflows/orders/instances/{id}/events/approved", {"a": 1})
        found = await ended_on_host(host, id)
    assert [attempt["success"] for attempt in found["steps"][0]["attempts"]] == [False, True]


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler(version: str, host: Host, tmp_path: Path) -> None:
    name = f"wrangled-{version.replace('.', '-')}"
    folder = worker(tmp_path, ENTRY, PYTHON + CONFIG.replace("orders", name), name=name)

    async def wrangler(words: str, fails: bool = False) -> str:
        return await on_host(
            version, *shlex.split(words), url=host.url, token=host.token, folder=folder, fails=fails
        )  # fmt: skip

    assert f"workflow: {name}" in await wrangler("deploy")
    assert "queued successfully" in await wrangler(f"""workflows trigger {name} '{{"n": 1}}' --id one""")
    assert "one" in await wrangler(f"workflows instances list {name}")
    if version == "4.42.2":
        assert name in await wrangler("workflows list")
        assert "Orders" in await wrangler(f"workflows describe {name}")
        assert "paused successfully" in await wrangler(f"workflows instances pause {name} one")
        assert "resumed successfully" in await wrangler(f"workflows instances resume {name} latest")
        assert "terminated successfully" in await wrangler(f"workflows instances terminate {name} one")
        return
    await wrangler(f"""workflows instances send-event {name} one --type approved --payload '{{"ok": true}}'""")
    at = f"/client/v4/accounts/host/workflows/{name}/instances/one"
    async with asyncio.timeout(30):
        while (found := (await host.api("GET", at))[1]["result"])["status"] != "complete":
            await asyncio.sleep(0.1)
    assert found["output"] == {"n": 1, "answer": {"ok": True}}
    shown = await wrangler(f"workflows instances describe {name} one")
    assert "first-1" in shown
    assert "ValueError: once" in shown
    assert "restarted successfully" in await wrangler(f"workflows instances restart {name} one")
    await wrangler(f"workflows instances delete {name} one")


async def test_wrangler_local_speaks_with_pilot_dev(pilot: Served, tmp_path: Path) -> None:
    async def run(*words: str) -> str:
        where = "--local", "--port", pilot.url.rpartition(":")[2]
        return await on_host("4.164.0", "workflows", *words, *where, url=pilot.url, token="none", folder=tmp_path)

    assert "cases" in await run("list")
    assert "Cases" in await run("describe", "cases")
    assert "local-1" in await run("trigger", "cases", '{"case": "waits"}', "--id", "local-1")
    await run("instances", "pause", "cases", "local-1")
    await run("instances", "resume", "cases", "local-1")
    await run("instances", "send-event", "cases", "latest", "--type", "go", "--payload", '{"by": "me"}')
    async with asyncio.timeout(120):
        while "Completed" not in (said := await run("instances", "describe", "cases", "local-1")):
            await asyncio.sleep(0.2)
    assert '"by": "me"' in said or '"by":"me"' in said
    assert "local-1" in await run("instances", "list", "cases")
    async with pilot.http.get(
        f"{pilot.url}/cdn-cgi/local/explorer/api/workflows", headers={"origin": "http://x"}
    ) as there:
        assert there.status == 403  # a page of another site
