"""The chat page in a real browser: text grows while the model speaks, and Stop stops it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from browsing import chromium

CHAT = Path(__file__).parents[2] / "workers/chat"
SLOW = '"@cf/meta/llama-2-7b-chat-int8": {echo: {rate: 25, tokens: 400}}\n'  # 16 s: time to stop it
QUICK = '"@cf/meta/llama-2-7b-chat-int8": {echo: {rate: 50, tokens: 20}}\n'
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


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


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
    await expect(page.locator("#model")).to_have_text("echo standing in for @cf/meta/llama-2-7b-chat-int8")
    await ask(page, "Where is <b>New York</b>?")
    await expect(page.locator(".facts")).to_contain_text("20 tokens")
    assert (await answer(page)).startswith("Where is <b>New York</b>?")  # text, never markup
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


MARKDOWN = """# A title

Some **bold**, *it*, `a<b>`, snake_case_name, 2*3*4 and <img src=x onerror="document.title='owned'">.
[bad](javascript:alert(1)) [good](https://example.com/a_(b))

- one
- two
  - deeper

3. third

```python
print("<script>")
```

| a | b |
|---|---|
| 1 | `x` |
"""
SAYS = """
import json
from pathlib import Path
from workers import Response

async def words():
    text = (Path(__file__).parent / "said.md").read_text()
    for at in range(0, len(text), 3):
        yield f"data: {json.dumps({'response': text[at:at + 3]})}\\n\\n"
    yield "data: [DONE]\\n\\n"

async def fetch(request, env, ctx):
    if "/worker-endpoint" in request.url:
        return words()
    if "/model" in request.url:
        return Response.json({"model": "@cf/meta/llama-2-7b-chat-int8", "stand_in": "SmolLM2-135M-Instruct"})
    return Response(Path(__file__).with_name("page.html").read_text(), headers={"content-type": "text/html"})
"""


async def test_markdown_is_shown_and_never_html(start_pilot: Start, tmp_path: Path, page: Page) -> None:
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    folder = project(tmp_path, QUICK)
    (folder / "entry.py").write_text(SAYS)
    (folder / "said.md").write_text(MARKDOWN)
    pilot = await start_pilot(folder, "--engine", "echo")
    await page.set_viewport_size({"width": 375, "height": 700})  # a phone's
    await page.goto(pilot.url)
    model = page.locator("#model")
    await expect(model).to_have_text("SmolLM2-135M-Instruct standing in for @cf/meta/llama-2-7b-chat-int8")
    assert await model.evaluate("(it) => it.scrollWidth <= it.clientWidth && it.getBoundingClientRect().right <= 375")
    await page.get_by_role("button", name="Where is New York?").click()
    await expect(page.get_by_label("Your question")).to_be_focused()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    text = page.locator(".assistant .text")
    for selector, words in {
        "h3": "A title",
        "strong": "bold",
        "em": "it",
        "p code": "a<b>",
        "a": "good",
        "ul ul li": "deeper",
        "ol[start='3'] > li": "third",
        "pre": 'print("<script>")',
        "th >> nth=1": "b",
        "td code": "x",
    }.items():
        await expect(text.locator(selector)).to_have_text(words)
    await expect(text).to_contain_text("snake_case_name, 2*3*4 and <img src=x")
    assert await text.locator("img, script").count() == 0
    assert await text.locator("a").evaluate_all("(all) => all.map((a) => a.href)") == ["https://example.com/a_(b)"]
    assert (await page.title(), wrong) == ("Pilotlight chat", [])
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await text.get_by_role("button", name="Copy").click()
    assert await page.evaluate("navigator.clipboard.readText()") == 'print("<script>")'
