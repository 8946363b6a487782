"""Traces and queues on the explorer's page, by the keyboard, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hosting import hosting, worker
from serving import Served, serving, write

CONFIG = """
durable_objects.bindings = [{ name = "ROOM", class_name = "Room" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Room"] }]
services = [{ binding = "SELF", service = "test", entrypoint = "Named" }]
kv_namespaces = [{ binding = "NOTES", id = "notes" }]
[ai]
binding = "AI"
[queues]
producers = [{ binding = "JOBS", queue = "jobs" }]
consumers = [{ queue = "jobs", max_batch_timeout = 0, max_retries = 0, dead_letter_queue = "dead" }]
"""
ENTRY = """
from workers import URL, DurableObject, Response, WorkerEntrypoint

class Room(DurableObject):
    async def enter(self):
        await self.env.NOTES.get("<b>")
        await self.ctx.storage.put("here", True)

class Named(WorkerEntrypoint):
    async def name(self):
        return "named"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = URL(request.url).pathname
        if path == "/boom":
            raise ValueError("no luck")
        await self.env.NOTES.put("a", path)
        await self.env.SELF.name()
        await self.env.ROOM.getByName("one").enter()
        await self.env.AI.run("@cf/meta/llama-3.1-8b-instruct", {"prompt": "one two"})
        return Response("ok")

    async def queue(self, batch):
        await self.env.NOTES.get("queue")
        raise ValueError("never")
"""


@pytest.fixture
async def page(page: Page) -> Page:
    """What it asks is answered yes."""
    page.on("dialog", lambda dialog: dialog.accept())
    return page


@pytest.fixture
async def pilot(tmp_path: Path) -> AsyncIterator[Served]:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        yield pilot


async def test_a_request_is_a_waterfall(pilot: Served, page: Page) -> None:
    assert await pilot.ask("/unseen") == (200, "ok")  # nobody looks: it is not recorded
    await page.goto(f"{pilot.url}/__pilot/#traces")
    status = page.get_by_role("status")
    await expect(status).to_have_text("0 traces")
    assert await pilot.ask("/all") == (200, "ok")
    await expect(status).to_have_text("1 trace")
    await page.get_by_role("button", name="GET /all").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Trace GET /all")).to_be_focused()
    spans = page.get_by_role("region", name="Spans of GET /all")
    names = ["GET /all", "worker test", "env.NOTES.put", "worker test Named.name", "object Room.enter", "env.NOTES.get"]
    await expect(spans.get_by_role("rowheader")).to_contain_text(
        [*names, "env.AI.run", "text_completion @cf/meta", "engine echo: echo"]
    )
    lanes = spans.locator(".bar")
    whole, part = await lanes.nth(0).bounding_box(), await lanes.nth(2).bounding_box()
    assert whole is not None
    assert part is not None
    assert whole["x"] <= part["x"] < part["x"] + part["width"] <= whole["x"] + whole["width"] + 4
    await spans.locator("summary").filter(has_text="text_completion").focus()
    await page.keyboard.press("Enter")
    await expect(spans.get_by_text("gen_ai.usage.output_tokens")).to_be_visible()
    assert (await pilot.ask("/boom"))[0] == 500
    row = page.get_by_role("region", name="Traces, newest first").locator("tbody tr").first
    await expect(row).to_contain_text("✘")
    await page.get_by_role("button", name="GET /boom").click()
    await expect(page.get_by_role("region", name="Spans of GET /boom")).to_contain_text("failed: ScriptError")
    await page.get_by_label("Filter").fill("room")
    await expect(page.locator("tbody tr:visible").filter(has=page.get_by_role("button"))).to_have_count(1)


async def test_a_queue_is_seen_and_steered(pilot: Served, page: Page) -> None:
    await page.goto(f"{pilot.url}/__pilot/#traces")
    await expect(page.get_by_role("status")).to_have_text("0 traces")
    await page.get_by_role("link", name="Queues").click()
    await page.get_by_role("button", name="jobs").focus()
    await page.keyboard.press("Enter")
    card = page.get_by_role("region", name="Queue jobs", exact=True)
    await expect(card).to_be_focused()
    await expect(card).to_contain_text(re.compile("Consumertest.*Dead letters todead"))
    await card.get_by_role("button", name="Pause").focus()
    await page.keyboard.press("Enter")
    await expect(card.get_by_role("button", name="Resume")).to_be_visible()
    await card.get_by_label("Message", exact=True).fill('{"order": "<i>1</i>"}')
    await page.keyboard.press("Enter")
    messages = page.get_by_role("region", name="Messages of jobs").locator("tbody tr")
    await expect(messages).to_contain_text(["<i>1</i>"])
    await card.get_by_label("Message", exact=True).fill('"later"')
    await card.get_by_label("Delay").fill("600")
    await page.keyboard.press("Enter")
    await expect(messages).to_have_count(2)
    row = page.get_by_role("region", name="Queues").get_by_role("row", name=re.compile("^jobs"))
    await expect(row.get_by_role("cell")).to_have_text(["jobs", "1", "1", "0", "paused", "dead"])
    await card.get_by_role("button", name="Resume").click()
    await expect(card.get_by_role("status")).to_have_text("1 message")  # the other one has failed
    await page.get_by_role("button", name="Look again").click()
    await page.get_by_role("row", name=re.compile("^dead")).get_by_role("button").click()
    await expect(page.get_by_role("region", name="Messages of dead").locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Remove all messages").click()
    await expect(page.get_by_role("region", name="Queue dead", exact=True).get_by_role("status")).to_have_text(
        "0 messages"
    )
    await page.get_by_role("link", name="Traces").click()
    await page.get_by_role("button", name="queue jobs").click()
    await expect(page.get_by_role("region", name="Spans of queue jobs")).to_contain_text("env.NOTES.get")
    await page.get_by_role("link", name="env.JOBS").click()
    await expect(page.get_by_role("region", name="Queue jobs", exact=True)).to_be_visible()


async def test_the_objects_of_a_class_are_listed(pilot: Served, page: Page) -> None:
    await page.goto(f"{pilot.url}/__pilot/#test/ROOM")
    await expect(page.get_by_role("status")).to_have_text("None has kept anything.")
    assert await pilot.ask("/one") == (200, "ok")
    await page.get_by_role("button", name="Look again").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("1 object")
    row = page.get_by_role("region", name="Objects").locator("tbody tr")
    await expect(row.get_by_role("cell")).to_have_text(
        ["one", re.compile("^[0-9a-f]{64}$"), re.compile(r"^\d+$"), "", re.compile("20")]
    )


async def test_a_hosts_traces_want_a_token_that_may_read(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", "from workers import Response\ndef fetch(): return Response('x')\n"))
        token, host.token = host.token, ""
        assert (await host.ask("/__pilot/traces"))[0] == 400
        headers = {"authorization": f"Bearer {token}"}
        async with host.http.get(f"{host.url}/__pilot/traces", headers=headers) as feed:
            assert feed.status == 200
            assert await host.get("app") == (200, "x")
            found = b""
            async for chunk in feed.content.iter_any():
                if b"worker app" in (found := found + chunk):
                    break
        assert b'"GET /_w/app/"' in found
