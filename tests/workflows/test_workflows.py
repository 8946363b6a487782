"""``env.WORKFLOW``, ``run(event, step)`` and its steps, as a worker uses them."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served
from workflows_support import asks, noted, notes, output, reaches, running

CONFIG = """
[[workflows]]
binding = "WF"
name = "cases"
class_name = "Cases"

[[workflows]]
binding = "ONE"
name = "one-at-a-time"
class_name = "Other"
concurrency = { limit = 1 }

[[workflows]]
binding = "FEW"
name = "few-steps"
class_name = "Cases"
limits = { steps = 5 }

[[workflows]]
binding = "NONE"
name = "no-class"
class_name = "Missing"
"""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.e2e]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with running(tmp_path_factory.mktemp("dev"), CONFIG) as pilot:
        yield pilot


# The binding


async def test_an_instance_is_created_and_found(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "names"}})
    assert uuid.UUID(id)
    assert await asks(pilot, "on_binding", method="get", args=[id]) == id
    found = await asks(pilot, "end_of", id=id)
    assert (found["status"], found["output"], found["error"]) == ("complete", [1, 2], None)


async def test_create_takes_one_object_too(pilot: Served) -> None:
    own = {"id": "one-object", "params": {"case": "names"}}
    assert await asks(pilot, "on_binding", method="create", args=[own]) == "one-object"


async def test_an_id_is_taken_once(pilot: Served) -> None:
    own = {"id": "my-id", "params": {"case": "names"}}
    assert await asks(pilot, "create", options=own) == "my-id"
    text = 'WorkflowError: (instance.already_exists) Workflow instance with id "my-id" already exists'
    assert await asks(pilot, "create", options=own) == ["Error", text]


@pytest.mark.parametrize("id", ["-a", "a b", "", "x" * 101, 5, "ä"])
async def test_an_id_that_is_none(pilot: Served, id: object) -> None:
    found = await asks(pilot, "create", options={"id": id})
    assert found == ["Error", "WorkflowError: Workflow instance has invalid id"]


async def test_any_other_argument_of_create_is_ignored(pilot: Served) -> None:
    assert uuid.UUID(await asks(pilot, "on_binding", method="create", args=["x"]))


async def test_a_batch(pilot: Served) -> None:
    params = {"case": "names"}
    batch = [{"id": "batch-1", "params": params}, {"params": params}]
    for method in ("create_batch", "createBatch"):
        found = await asks(pilot, "on_binding", method=method, args=[batch])
        assert found[0] == "batch-1" or method == "createBatch"  # the second time it is there already, and left out
        assert uuid.UUID(found[-1])
        assert [(await asks(pilot, "end_of", id=id))["output"] for id in found] == [[1, 2]] * len(found)
    refused = await asks(pilot, "on_binding", method="create_batch", args=[[]])
    assert refused == ["Error", "WorkflowError: batchCreate should have at least 1 instance"]
    refused = await asks(pilot, "on_binding", method="create_batch", args=[[{}] * 101])
    assert refused == ["Error", "WorkflowError: batchCreate only supports 100 instances at a time"]


async def test_an_instance_that_is_not_there(pilot: Served) -> None:
    assert await asks(pilot, "on_binding", method="get", args=["nobody"]) == ["Error", "instance.not_found"]
    assert await asks(pilot, "on_binding", method="get", args=[5]) == ["Error", "instance.not_found"]


async def test_what_a_status_is(pilot: Served) -> None:
    fields = ["__LOCAL_DEV_STEP_OUTPUTS", "error", "output", "status"]
    assert await asks(pilot, "attributes") == ["JsDict", fields, [1, 2], "str"]


async def test_terminated_once(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "napping", "ms": "1 hour"}})
    await noted(pilot, f"{id} before")
    assert await asks(pilot, "on_instance", id=id, method="terminate") is None
    assert (await asks(pilot, "end_of", id=id))["status"] == "terminated"
    assert f"{id} Error: Aborting engine: User called terminate" in await noted(
        pilot, f"{id} Error: Aborting engine: User called terminate"
    )
    text = "WorkflowError: (instance.cannot_terminate) Cannot terminate instance since its on a finite state"
    assert await asks(pilot, "on_instance", id=id, method="terminate") == ["Error", text]
    for method in ("pause", "resume"):
        assert await asks(pilot, "on_instance", id=id, method=method) is None
    assert await asks(pilot, "on_instance", id=id, method="send_event", args=[{"type": "x", "payload": 1}]) is None
    assert (await asks(pilot, "end_of", id=id))["status"] == "terminated"


async def test_a_nap_is_paused_and_resumed(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "napping", "ms": 1500}})
    await noted(pilot, f"{id} before")
    await asks(pilot, "on_instance", id=id, method="pause")
    await reaches(pilot, id, "paused")
    await noted(pilot, f"{id} Error: Aborting engine: User called pause")
    assert await asks(pilot, "on_instance", id=id, method="resume") is None
    found = await reaches(pilot, id, "complete")
    assert found["output"] == "rested"
    assert (await noted(pilot, f"{id} before")).count(f"{id} before") == 1


async def test_a_step_that_runs_ends_before_the_pause(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "held"}})
    await noted(pilot, f"{id} held")
    await asks(pilot, "on_instance", id=id, method="pause")
    assert (await asks(pilot, "on_instance", id=id, method="status"))["status"] == "waitingForPause"
    (notes(pilot) / f"go-{id}").touch()
    await reaches(pilot, id, "paused")
    lines = await noted(pilot, f"{id} Error: Aborting engine: User called pause")
    assert f"{id} after" not in lines
    await asks(pilot, "on_instance", id=id, method="resume")
    assert (await reaches(pilot, id, "complete"))["output"] == "done"
    lines = await noted(pilot, f"{id} after")
    assert [lines.count(f"{id} {name}") for name in ("before", "held", "after")] == [1, 1, 1]


async def test_restarted_it_begins_anew(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "names"}})
    before = await asks(pilot, "end_of", id=id)
    assert await asks(pilot, "on_instance", id=id, method="restart") is None
    assert await asks(pilot, "end_of", id=id) == before
    running = await asks(pilot, "create", options={"params": {"case": "held"}})
    await noted(pilot, f"{running} held")
    (notes(pilot) / f"go-{running}").touch()
    await asks(pilot, "on_instance", id=running, method="restart")
    assert (await reaches(pilot, running, "complete"))["output"] == "done"
    lines = await noted(pilot, f"{running} after")
    assert lines.count(f"{running} before") == 2


async def test_restarted_from_a_step(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "held"}})
    (notes(pilot) / f"go-{id}").touch()
    await reaches(pilot, id, "complete")
    await asks(pilot, "on_instance", id=id, method="restart", options={"from": {"name": "after"}})
    await reaches(pilot, id, "complete")
    lines = await noted(pilot, f"{id} after")
    assert [lines.count(f"{id} {name}") for name in ("before", "held", "after")] == [1, 1, 2]
    refused = await asks(pilot, "on_instance", id=id, method="restart", args=[{"from": {"name": "nowhere"}}])
    text = 'WorkflowError: (instance.cannot_restart) Step "nowhere" not found in execution history'
    assert refused == ["Error", text]


@pytest.mark.parametrize("late", [False, True])
async def test_an_event_is_had_whenever_it_comes(pilot: Served, late: bool) -> None:
    own = {"id": f"waits-{late}", "params": {"case": "waits"}}
    id = await asks(pilot, "create", options=own)
    if late:
        await asyncio.sleep(0.3)
    event = {"type": "go", "payload": {"n": [1, None]}}
    method, form = ("sendEvent", {"options": event}) if late else ("send_event", {"args": [event]})
    assert await asks(pilot, "on_instance", id=id, method=method, **form) is None
    kind, found, moment = (await reaches(pilot, id, "complete"))["output"]
    assert (kind, moment, sorted(found)) == ("JsDict", "datetime", ["payload", "timestamp", "type"])
    assert (found["payload"], found["type"]) == ({"n": [1, None]}, "go")


async def test_one_event_is_for_one_that_waits(pilot: Served) -> None:
    id = await asks(pilot, "create", options={"params": {"case": "waits_twice"}})
    for payload in (1, 2):
        await asks(pilot, "on_instance", id=id, method="send_event", args=[{"type": "go", "payload": payload}])
    assert (await reaches(pilot, id, "complete"))["output"] == [1, 2]


async def test_no_more_run_than_may(pilot: Served) -> None:
    first, second = [await asks(pilot, "create", binding="ONE") for _ in range(2)]
    await noted(pilot, f"{first} begun")
    assert (await asks(pilot, "on_instance", binding="ONE", id=second, method="status"))["status"] == "queued"
    for id in (first, second):
        (notes(pilot) / f"hold-{id}").touch()
        assert (await reaches(pilot, id, "complete", "ONE"))["output"] == "one-at-a-time"


# What run(event, step) is handed, and returns


async def test_the_event(pilot: Served) -> None:
    kind, fields, moment, zone, recent, payload, id = await output(pilot, "event_is", more=[None])
    assert (kind, moment, zone, recent) == ("JsDict", "datetime", None, True)
    assert fields == ["instanceId", "payload", "timestamp", "workflowName"]
    assert (payload, bool(uuid.UUID(id))) == ({"case": "event_is", "more": [None]}, True)


async def test_what_run_raises(pilot: Served) -> None:
    found = await asks(pilot, "case", case="raises")
    assert (found["status"], found["output"], found["error"]["name"]) == ("errored", None, "Error")
    assert found["error"]["message"].startswith("Traceback (most recent call last):\n")
    assert found["error"]["message"].rstrip().endswith("RuntimeError: uncaught")
    assert await pilot.says("errored: RuntimeError: uncaught")


async def test_a_step_s_failure_is_run_s_if_nobody_catches_it(pilot: Served) -> None:
    found = await asks(pilot, "case", case="raises_from_step")
    assert found["status"] == "errored"
    assert found["error"]["message"].rstrip().endswith("NonRetryableError: no more")


async def test_what_cannot_be_an_output(pilot: Served) -> None:
    found = await asks(pilot, "case", case="returns_tuple")
    assert found["status"] == "errored"
    assert "<class 'tuple'> cannot be sent over RPC." in found["error"]["message"]


async def test_a_class_that_is_not_there(pilot: Served) -> None:
    id = await asks(pilot, "create", binding="NONE")
    found = await reaches(pilot, id, "errored", "NONE")
    assert "this script has no Missing.run" in found["error"]["message"]


# step.do


async def test_a_step_is_called_like_its_function_or_as_it_is_told(pilot: Served) -> None:
    assert await output(pilot, "names") == [1, 2]


async def test_parameters_are_earlier_steps(pilot: Served) -> None:
    found, ran, again, ran_then = await output(pilot, "dependencies")
    assert (found, ran) == ([2, 1], ["a", "b", "c"])
    assert (again, ran_then) == ([2, "b", 2, 1], ["a", "b", "c", "b"])  # by hand it runs again, what it needs does not


async def test_dependencies_run_together_if_they_may(pilot: Served) -> None:
    assert await output(pilot, "concurrently") == "lr"


async def test_a_dependency_of_two_runs_once(pilot: Served) -> None:
    assert await output(pilot, "shared") == [1, 2, ["base"]]


async def test_a_parameter_that_is_no_step(pilot: Served) -> None:
    assert await output(pilot, "unexpected") == ["TypeError", "Received unexpected parameter zz"]


async def test_steps_that_need_each_other(pilot: Served) -> None:
    assert await output(pilot, "cycle") == ["TypeError", "The step 'a' depends on itself"]


async def test_the_older_way_to_name_dependencies(pilot: Served) -> None:
    assert await output(pilot, "older") == [[1, 2, "three"], "TypeError"]


async def test_awaited_again_a_step_runs_again(pilot: Served) -> None:
    assert await output(pilot, "again") == [1, 2, 2, 3, [1, 2]]


async def test_the_context(pilot: Served) -> None:
    plain, given = await output(pilot, "context")
    defaults = {"retries": {"limit": 5, "delay": 1000, "backoff": "exponential"}, "timeout": "10 minutes"}
    assert plain == {"step": {"name": "plain", "count": 1}, "attempt": 1, "config": defaults}
    assert given["config"] == {"retries": {"limit": 1, "delay": "1 second", "backoff": "linear"}, "timeout": 5000}


async def test_values_survive(pilot: Served) -> None:
    assert await output(pilot, "values") == [True, "memoryview", None, True, 2**60, "1"]


async def test_what_is_no_value_fails_after_all_retries(pilot: Served) -> None:
    text = "TypeError: <class 'tuple'> cannot be sent over RPC."
    assert await output(pilot, "tuples") == ["TypeError", text, ["tuple"] * 3]
    assert "could not be cloned" in await output(pilot, "opaque")


async def test_a_result_that_is_too_large(pilot: Served) -> None:
    text = "Error: WorkflowInternalError: Step s-1 output is too large. Maximum allowed size is 1MiB."
    assert await output(pilot, "large") == ["JsException", text, ["large"]]


@pytest.mark.parametrize(
    ("backoff", "pauses"), [("constant", [20, 20, 20]), ("linear", [20, 40, 60]), ("exponential", [20, 40, 80])]
)
async def test_retries(pilot: Served, backoff: str, pauses: list[int]) -> None:
    found, attempts, waited = await output(pilot, "retried", backoff=backoff)
    assert (found, attempts) == ("at last", [1, 2, 3, 4])
    assert all(least <= pause for least, pause in zip(pauses, waited, strict=True)), waited


async def test_how_a_step_fails(pilot: Served) -> None:
    value, type_, non_retryable, other, cause, ran = await output(pilot, "failures")
    assert value == ["ValueError", "ValueError: always"]
    assert type_ == ["TypeError", "TypeError: always"]
    assert non_retryable == ["NonRetryableError", "no more"]
    assert other == ["PythonError", True, True]
    assert cause == ["JsException", "ValueError"]
    assert ran == ["v"] * 3 + ["t"] * 3 + ["n"] + ["k"] * 3 + ["v2"] * 3
    assert await output(pilot, "caught_and_on") == "went on"


async def test_an_attempt_has_its_time(pilot: Served) -> None:
    late = ["JsException", "Error: WorkflowTimeoutError: Execution timed out after 100ms"]
    assert await output(pilot, "timeout") == [late, late, late]


async def test_a_step_cannot_end_the_process(pilot: Served) -> None:
    before = await asks(pilot, "where")
    assert await output(pilot, "exits") == "JsException"
    assert await asks(pilot, "where") == before


async def test_a_config_that_is_none(pilot: Served) -> None:
    url = "https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/"
    text = f'Error: WorkflowFatalError: Step config for "slow" is in a invalid format. See {url}'
    assert await output(pilot, "bad_config") == [["JsException", text]] * 6


async def test_a_name_that_is_none(pilot: Served) -> None:
    long, control, fits = await output(pilot, "bad_names")
    for found in (long, control):
        assert found[0] == "JsException"
        assert re.search(r'Step name ".*" exceeds max length \(256 chars\) or invalid characters found', found[1], re.S)
    assert fits == ["nothing", 1]


async def test_more_steps_than_there_may_be(pilot: Served) -> None:
    id = await asks(pilot, "create", binding="FEW", options={"params": {"case": "too_many"}})
    text = "The limit of 5 steps has been reached. This limit can be changed in your worker configuration."
    found = await reaches(pilot, id, "complete", "FEW")
    assert found["output"] == ["JsException", f"Error: WorkflowFatalError: {text}"]


# Other steps


async def test_sleeping(pilot: Served) -> None:
    past = ["JsException", "Error: You can't sleep until a time in the past, time-traveler"]
    assert await output(pilot, "sleeping") == [True, past, "JsException"]


async def test_an_event_that_does_not_come(pilot: Served) -> None:
    text = "Error: WorkflowTimeoutError: Execution timed out after 1000ms"
    assert await output(pilot, "waits_in_vain") == ["JsException", text]
