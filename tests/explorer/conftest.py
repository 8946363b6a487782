"""A page of a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from browsing import chromium


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """It must break no script and no Content-Security-Policy."""
    async with chromium() as browser:
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        yield page
        assert wrong == []
