"""A workflow on the explorer's page: its instances, one as its steps, and what can be done to it by the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from browsing import chromium
from workflows_support import asks, noted, notes, running

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


async def test_an_instance_is_seen_as_its_steps_and_steered(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot, chromium() as browser:
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(f"{pilot.url}/__pilot/#")
        await page.get_by_role("link", name="WF").click()
        await expect(page.get_by_text("There are none.")).to_be_visible()
        await page.get_by_label("Parameters").fill('{"case": "held"}')
        await page.keyboard.press("Enter")
        steps = page.get_by_role("region", name="Steps of")
        await expect(steps.get_by_role("row", name="held-1")).to_contain_text("runs")  # it is looked at again and again
        await expect(steps.get_by_role("row", name="before-1")).to_contain_text("done")
        id = (await page.get_by_role("region", name="Instances").get_by_role("button").first.inner_text()).strip()
        await noted(pilot, f"{id} held")
        await page.get_by_role("button", name="Pause").focus()
        await page.keyboard.press("Enter")
        (notes(pilot) / f"go-{id}").touch()
        await page.get_by_role("button", name="Resume").focus(timeout=15_000)
        await page.keyboard.press("Enter")
        card = page.get_by_role("region", name=f"Instance {id}")
        await expect(card).to_contain_text("complete", timeout=15_000)
        await expect(steps.get_by_role("row", name="after-1")).to_contain_text("done1")
        errored = await asks(pilot, "create", options={"params": {"case": "raises"}})
        await page.get_by_role("button", name="Look again").click()
        await page.get_by_role("button", name=errored).click()
        await expect(page.get_by_role("region", name=f"Instance {errored}")).to_contain_text("RuntimeError: uncaught")
        await page.get_by_label("Status").select_option("complete")
        await expect(page.get_by_role("region", name="Instances").get_by_role("row")).to_have_count(2)
        assert wrong == []
