"""The chat page in a real browser: text grows while the model speaks, and Stop stops it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

CHAT = Path(__file__).parent.parent / "workers/chat"
SLOW = '"@cf/meta/llama-2-7b-chat-int8": {echo: {rate: 25, tokens: 400}}\n'  # 16 s: time to stop it
QUICK = '"@cf/meta/llama-2-7b-chat-int8": {echo: {rate: 50, tokens: 20}}\n'
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")
BREAKS_OFF = """
from pathlib import Path
from workers import Response

async def half():
    yield 'data: {"response":"half an answer"}\\n\\n'

async def fetch(request, env, ctx):
    if "/worker-endpoint" in request.url:
        return half()
    return Response(Path(__file__).with_name("page.html").read_text(), headers={"content-type": "text/html"})
"""

Start = Callable[..., Awaitable[Any]]


def chromium() -> str:
    named = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    return next((path for path in named if path), ON_MACOS)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page()


def project(folder: Path, models: str) -> Path:
    """The sample with a model that speaks at a known pace."""
    shutil.copytree(CHAT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pilot"))
    (folder / "models.yaml").write_text(models)
    return folder


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")


async def answer(page: Page) -> str:
    return await page.locator(".assistant .text").last.inner_text()


async def test_text_grows_before_the_stream_ends(start_pilot: Start, tmp_path: Path, page: Page) -> None:
    pilot = await start_pilot(project(tmp_path, SLOW), "--engine", "echo")
    await page.goto(pilot.url)
    await ask(page, "one two three four five")
    text = page.locator(".assistant .text").last
    await expect(text).to_contain_text("one two three")
    early = await answer(page)
    await expect(text).not_to_have_text(early)
    later = await answer(page)
    assert later.startswith(early)
    assert len(later) > len(early)
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()  # it is still going on


async def test_stop_ends_the_answer_at_the_model_too(start_pilot: Start, tmp_path: Path, page: Page) -> None:
    pilot = await start_pilot(project(tmp_path, SLOW), "--engine", "echo")
    await page.goto(pilot.url)
    await ask(page, "one two three four five")
    await expect(page.locator(".assistant .text")).to_contain_text("one two three")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".facts")).to_contain_text("stopped")
    kept = await answer(page)
    request = await pilot.event("request", path="/worker-endpoint")  # the server's side of it is over
    assert request["tokens"] < 400
    assert await answer(page) == kept
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_a_conversation_to_its_end(start_pilot: Start, tmp_path: Path, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pilot = await start_pilot(project(tmp_path, QUICK), "--engine", "echo")
    await page.goto(pilot.url)
    await expect(page.locator("#model")).to_contain_text("@cf/meta/llama-2-7b-chat-int8")
    await ask(page, "Where is <b>New York</b>?")
    await expect(page.locator(".facts")).to_contain_text("20 tokens")
    assert (await answer(page)).startswith("Where is <b>New York</b>?")  # text, never markup
    await expect(page.locator("#model")).to_contain_text("echo, standing in for")
    await ask(page, "And Boston?")
    await expect(page.locator(".facts")).to_have_count(2)
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    endpoint = [url for url in asked if "/worker-endpoint" in url]
    assert len(endpoint) == 2  # [DONE] closed each: an EventSource left open would ask again
    assert "assistant" in endpoint[1]  # the first answer went along with the second question


async def test_a_stream_that_breaks_off_is_said_and_not_asked_again(
    start_pilot: Start, tmp_path: Path, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    folder = project(tmp_path, QUICK)
    (folder / "entry.py").write_text(BREAKS_OFF)
    pilot = await start_pilot(folder, "--engine", "echo")
    await page.goto(pilot.url)
    await ask(page, "anything")
    await expect(page.get_by_role("alert")).to_contain_text("broke off")
    assert await answer(page) == "half an answer"
    await asyncio.sleep(4)  # an EventSource left alone connects again after 3 s
    assert sum("/worker-endpoint" in url for url in asked) == 1
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("alert")).to_have_count(1)
    assert sum("/worker-endpoint" in url for url in asked) == 2
