"""``runtime.testing``: what a test can do to a worker from outside."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from runtime.testing import Worker
from runtime.values import JsException

pytestmark = pytest.mark.e2e
Started = Callable[..., Worker]
Until = Callable[[Callable[[], object], object], None]


def test_bindings_are_seeded_and_looked_into(started: Started) -> None:
    worker = started("rewriter")
    worker.env.SETTINGS.put("title", "Seeded", {"metadata": {"by": "test"}})
    assert "<title>Seeded</title>" in worker.fetch("/").text()
    assert worker.env.SETTINGS.getWithMetadata("title").metadata == {"by": "test"}
    assert [key.name for key in worker.env.SETTINGS.list()["keys"]] == ["title"]
    with pytest.raises(AttributeError, match=r"it has: .*SETTINGS"):
        _ = worker.env.KV
    with pytest.raises(JsException, match="512"):
        worker.env.SETTINGS.put("x" * 600, "too long")


async def test_sql_and_objects_too_and_in_a_coroutine(started: Started) -> None:
    worker = started("report")
    worker.env.DB.exec("CREATE TABLE sales (amount REAL)")
    insert = worker.env.DB.prepare("INSERT INTO sales VALUES (?)")
    worker.env.DB.batch([insert.bind(1), insert.bind(2.5)])
    worker.env.REPORTS.put("2020-01-01.json", json.dumps({"sum": 0}))
    assert worker.scheduled("0 6 * * *", time=1_700_000_000).status == 200
    assert worker.env.REPORTS.get("2023-11-14.json").json()["sum"] == 3.5
    assert worker.env.DB.prepare("SELECT count(*) AS n FROM sales").first().n == 0
    assert [found.key for found in worker.env.REPORTS.list().objects] == ["2020-01-01.json", "2023-11-14.json"]


def test_a_day_goes_by_and_its_cron_runs(started: Started) -> None:
    worker = started("report")
    worker.env.DB.exec("CREATE TABLE sales (amount REAL)")
    worker.advance(24 * 3600)
    [report] = worker.fetch("/").json()
    assert (report["cron"], report["count"]) == ("0 6 * * *", 0)


def test_an_alarm_rings_and_what_is_kept_expires(started: Started) -> None:
    worker = started("counter")
    assert worker.fetch("/a/5").text() == "5"
    worker.advance(1800)
    assert worker.fetch("/a").text() == "5"
    worker.advance(1801)
    assert worker.fetch("/a").text() == "0"

    baskets = started("session")
    cookie = {"cookie": baskets.fetch("/add/pear").headers["set-cookie"].partition(";")[0]}
    baskets.advance(3599)
    assert baskets.fetch("/", headers=cookie).json() == {"pear": 1}
    baskets.advance(2)
    assert baskets.fetch("/", headers=cookie).json() == {}


def test_a_limit_begins_anew(started: Started, until: Until) -> None:
    worker = started("limited")
    until(lambda: worker.fetch("/", headers={"x-api-key": "k"}).status, 429)
    worker.advance(60)
    assert worker.fetch("/", headers={"x-api-key": "k"}).status == 200


def test_models_say_what_they_are_told(started: Started) -> None:
    worker = started("chat")
    worker.answer("I do not know.\n")
    worker.answer("It is\n in New York", when="where")
    for prompt, wanted in (("where+is+it", "It is\n in New York"), ("what", "I do not know.\n")):
        *parts, end = worker.fetch(f"/stream?q={prompt}").events()
        assert ("".join(json.loads(part)["response"] for part in parts), end) == (wanted, "[DONE]")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    worker.answer(tool=("look", {"where": "there"}))
    asked = {"messages": [{"role": "user", "content": "x"}], "model": "@cf/meta/llama-3.1-8b-instruct", "tools": [tool]}
    said = worker.fetch("/v1/chat/completions", json=asked).json()["choices"][0]
    assert json.loads(said["message"]["tool_calls"][0]["function"]["arguments"]) == {"where": "there"}


def test_nobody_else_can_do_so(started: Started) -> None:
    worker = started("session")
    refused = worker.fetch("/__pilot/testing/clock", "POST", body="60", headers={"x-pilot-test-token": "guess"})
    assert (refused.status, refused.text()) == (403, "not the token of this test\n")
