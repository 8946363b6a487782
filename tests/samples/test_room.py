"""The chat room with a model in it, in a real browser with two pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from browsing import chromium

ROOM = Path(__file__).parents[2] / "workers/room"
Start = Callable[..., Awaitable[Any]]


@pytest.fixture
async def pages() -> AsyncIterator[tuple[Page, Page]]:
    expect.set_options(timeout=60_000)
    async with chromium() as browser:
        one, other = [await (await browser.new_context()).new_page() for _ in range(2)]
        yield one, other


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(ROOM, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pilot"))
    return tmp_path


async def join(page: Page, url: str, name: str) -> None:
    await page.goto(url)
    await page.get_by_label("You are").fill(name)
    await page.get_by_label("You are").blur()
    await expect(page.get_by_role("status")).to_have_text("", timeout=20_000)
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.get_by_role("button", name="Send").click()


@pytest.mark.timeout(600)
async def test_two_guests_and_the_model_hear_each_other_over_a_save(
    start_pilot: Start, project: Path, pages: tuple[Page, Page]
) -> None:
    pilot = await start_pilot(project, "--engine", "echo")
    ada, grace = pages
    await join(ada, pilot.url, "Ada")
    await join(grace, pilot.url, "Grace")
    await say(ada, "Is anybody here?")
    await expect(grace.locator("#messages li").last).to_have_text(re.compile("Ada.*Is anybody here", re.DOTALL))
    await say(grace, "@model what do whales eat?")
    for page in pages:
        await expect(page.locator("#messages li.model").last).to_contain_text("what do whales eat?")

    entry = project / "entry.py"
    entry.write_text(
        entry.read_text().replace('"text": text})\n\n    def keep', '"text": text.upper()})\n\n    def keep')
    )
    await pilot.event("reloaded")
    await say(ada, "still here?")
    await expect(grace.locator("#messages li").last).to_contain_text("STILL HERE?")
    await expect(grace.get_by_role("status")).to_have_text("")

    await grace.reload()
    await expect(grace.locator("#messages li")).to_have_count(4)


@pytest.mark.timeout(600)
async def test_a_quiet_room_is_closed_and_forgotten(
    start_pilot: Start, project: Path, pages: tuple[Page, Page]
) -> None:
    config = project / "wrangler.toml"
    config.write_text(re.sub(r"QUIET_SECONDS = \d+", "QUIET_SECONDS = 3", config.read_text()))
    pilot = await start_pilot(project, "--engine", "echo")
    page, later = pages
    await join(page, pilot.url, "Ada")
    await say(page, "hello")
    await expect(page.get_by_role("status")).to_have_text("the room was quiet for too long")
    await join(later, pilot.url, "Grace")
    await expect(later.locator("#messages li")).to_have_count(0)
