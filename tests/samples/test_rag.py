"""The sample that answers from one's own documents, in a real browser: upload, ask, read the sources, remove."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from browsing import chromium
from documents import pdf

RAG = Path(__file__).parents[2] / "workers/rag"
WHALES = "# Whales\n\nThe blue whale is the largest animal that has ever lived. Whales breathe air and feed on krill.\n"
BREAD = "Bread is made of flour, water, salt and yeast. The dough rests overnight and is baked in a hot oven.\n"

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)
        yield page


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """On the embedded models, as a visitor has them."""
    shutil.copytree(RAG, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pilot"))
    return tmp_path


def files(*documents: tuple[str, str, bytes]) -> list[Any]:
    return [{"name": name, "mimeType": type, "buffer": content} for name, type, content in documents]


@pytest.mark.timeout(600)
async def test_a_question_is_answered_from_the_document_that_knows(
    start_pilot: Start, project: Path, page: Page
) -> None:
    pilot = await start_pilot(project)
    await page.goto(pilot.url)
    await expect(page.get_by_text("Nothing yet")).to_be_visible()
    await page.get_by_label("Your question").fill("What do whales eat?")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.get_by_role("alert")).to_have_text("There are no documents yet: upload one.")

    markdown = ("whales.md", "text/markdown", WHALES.encode())
    await page.locator("#file").set_input_files(files(markdown, ("bread.txt", "text/plain", BREAD.encode())))
    await expect(page.locator("#documents li")).to_have_count(2)
    await expect(page.locator("#documents")).to_contain_text("1 piece")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#sources summary").first).to_contain_text("whales.md")
    await expect(page.locator("#answer")).to_have_text(re.compile(r"\w{3}"))
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.locator("#sources summary").first.click()
    await expect(page.locator("#sources p").first).to_contain_text("feed on krill")

    await page.get_by_role("button", name="Remove whales.md").click()
    await expect(page.locator("#documents li")).to_have_count(1)
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#sources summary")).to_have_count(1)
    await expect(page.locator("#sources summary")).to_contain_text("bread.txt")


@pytest.mark.timeout(600)
async def test_what_was_added_is_there_after_a_restart(start_pilot: Start, project: Path, page: Page) -> None:
    pilot = await start_pilot(project)
    await page.goto(pilot.url)
    await page.locator("#file").set_input_files(files(("whales.md", "text/markdown", WHALES.encode())))
    await expect(page.locator("#documents li")).to_have_count(1)
    await pilot.stop()
    pilot = await start_pilot(project)
    await page.goto(pilot.url)
    await expect(page.locator("#documents li")).to_contain_text("whales.md")
    answer = await page.request.get(f"{pilot.url}/api/documents/whales.md")
    assert (answer.status, await answer.text()) == (200, WHALES)
    assert answer.headers["content-disposition"].startswith("attachment")
    settings = await page.request.put(f"{pilot.url}/api/settings", data={"pieces": 1})
    assert (await settings.json())["pieces"] == 1


@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("markitdown") is None, reason="markitdown is not installed")
async def test_a_pdf_is_read_and_what_has_no_text_is_refused(start_pilot: Start, project: Path, page: Page) -> None:
    pilot = await start_pilot(project)
    await page.goto(pilot.url)
    await page.locator("#file").set_input_files(files(("note.pdf", "application/pdf", pdf("Krill is small"))))
    await expect(page.locator("#documents li")).to_contain_text("1 piece")
    await page.locator("#file").set_input_files(files(("empty.txt", "text/plain", b" ")))
    await expect(page.get_by_role("alert")).to_have_text("There is no text in it.")
    await expect(page.locator("#documents li")).to_have_count(1)
