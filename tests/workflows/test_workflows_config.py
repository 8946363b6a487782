"""What may stand in ``[[workflows]]``, and what ``schedules`` begin."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from bindings.base import Event, ProductContext
from bindings.workflows.durations import milliseconds, step_config
from bindings.workflows.engine.engine import Engine
from bindings.workflows.engine.store import New, Store
from bindings.workflows.product import Workflows
from bindings.workflows.settings import Terms, WorkflowSettings
from runtime.config import load
from runtime.errors import ConfigError

pytestmark = pytest.mark.unit
TABLE = {"name": '"orders"', "class_name": '"Orders"', "binding": '"ORDERS"'}


def config_of(folder: Path, **changed: str) -> Any:
    lines = "\n".join(f"{key} = {value}" for key, value in {**TABLE, **changed}.items())
    (folder / "entry.py").touch()
    (folder / "wrangler.toml").write_text(f'name = "shop"\nmain = "entry.py"\n[[workflows]]\n{lines}\n')
    return load(folder / "wrangler.toml")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": '"-a"'}, "'-a' is no name of a workflow"),
        ({"name": f'"{"x" * 65}"'}, "is no name of a workflow"),
        ({"class_name": '"a b"'}, "'a b' is no name of a class"),
        ({"limits": "{ steps = 0 }"}, "steps"),
        ({"schedules": '["0 0 * * 0"]'}, "'0 0 * * 0' is no cron expression"),
        ({"default_retention": '{ success_retention = "2 years" }'}, "is not from 1 ms to 365 days"),
        ({"script_name": '"other"', "schedules": '"0 9 * * *"'}, "belongs to the worker that has its class"),
        ({"remote": "true"}, "env.ORDERS is remote"),
    ],
)
def test_what_is_refused(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=r"wrangler\.toml") as refused:
        config_of(tmp_path, **changed)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"limits": "{ steps = 7 }", "concurrency": "{ limit = 3 }", "schedules": '["0 9 * * MON-FRI"]'},
        {"default_retention": '{ success_retention = "3 days", error_retention = 86400000 }'},
        {"script_name": '"other"'},
    ],
)
def test_an_upload_says_all_of_it(tmp_path: Path, changed: dict[str, str]) -> None:
    uploaded = Workflows.upload(config_of(tmp_path, **changed))
    assert [(item["name"], item["type"]) for item in uploaded] == [("ORDERS", "workflow")]
    [table] = Workflows.restore(uploaded)  # type: ignore[misc]
    assert {"name": table["name"], "binding": table["binding"], "class_name": table["class_name"]} == {
        key: value.strip('"') for key, value in TABLE.items()
    }
    assert table.get("limits") == ({"steps": 7} if "limits" in changed else None)
    assert list(table.get("schedules", ())) == (["0 9 * * MON-FRI"] if "schedules" in changed else [])
    assert table.get("script_name") == ("other" if "script_name" in changed else None)


def test_durations() -> None:
    assert [milliseconds(value) for value in (5, "7", "2 seconds", "1 day", "1 month")] == [5, 7, 2e3, 864e5, 2592e6]
    backoffs = {name: step_config({"retries": {"limit": 3, "delay": 10, "backoff": name}}) for name in BACKOFFS}
    pauses = {name: [config.pause_after(n) for n in (1, 2, 3)] for name, config in backoffs.items()}
    assert pauses == BACKOFFS


BACKOFFS = {"constant": [10, 10, 10], "linear": [10, 20, 30], "exponential": [10, 20, 40]}


class Observer:
    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


async def engine_of(folder: Path, terms: Terms, dispatch: Any, settings: WorkflowSettings | None = None) -> Engine:
    context = ProductContext(folder, folder, True, Observer(), dispatch=dispatch)  # type: ignore[arg-type]
    return Engine("orders", Store(folder / "workflow.sqlite"), terms, context, settings or WorkflowSettings())


async def test_schedules_begin_an_instance_once_a_minute(tmp_path: Path) -> None:
    async def runs(worker: str, event: Event) -> object:
        return ["complete", b"\xc0"]

    engine = await engine_of(tmp_path, Terms("shop", "Orders", crons=("* * * * *", "0 0 31 2 *")), runs)
    try:
        assert not engine._store.exists  # the minute that has begun is left out
        for _ in range(2):
            engine._minute -= 1  # a minute passes
            left = await engine._tick()
            assert left is not None
            assert 0 < left <= 60.1
        made, total = await engine._store.list(None, 0, 2**62, 1, 10)
        assert 1 <= total <= 2  # two where the clock itself has gone on
        assert (made[0].source, made[0].id[:5]) == ("cron", "cron-")
    finally:
        await engine.aclose()
        await engine._store.aclose()


async def test_what_has_ended_is_kept_for_a_time(tmp_path: Path) -> None:
    async def runs(worker: str, event: Event) -> object:
        return ["complete", b"\xc0"] if event.args["id"] != "bad" else ["errored", "no", "no"]

    engine = await engine_of(tmp_path, Terms("shop", "Orders", success_ms=1), runs)
    try:
        await engine._store.create_all([New("good"), New("bad")])
        engine.kick()
        until = time.monotonic() + 20
        while await engine._store.counts() != {"complete": 1, "errored": 1} and time.monotonic() < until:
            await asyncio.sleep(0.01)
        engine._swept = 0.0
        await engine._sweep()
        assert await engine._store.counts() == {"errored": 1}
    finally:
        await engine.aclose()
        await engine._store.aclose()
