"""The digest: from a cron trigger through a queue and a workflow to mail in a file."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

DIGEST = Path(__file__).parents[2] / "workers/digest"
DAY = 20_000  # days since 1970
Start = Callable[..., Awaitable[Any]]


async def test_each_reader_gets_one_mail_with_what_the_model_says(start_pilot: Start, tmp_path: Path) -> None:
    shutil.copytree(DIGEST, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pilot"))
    pilot = await start_pilot(tmp_path, "--engine", "echo")
    async with aiohttp.ClientSession(pilot.url) as http:
        for note in ("The whales are back.", "Bread is baking."):
            async with http.post("/notes", data=note) as answer:
                assert answer.status == 201
        for _ in range(2):  # the second time nothing is left to do
            async with http.get(f"/cdn-cgi/local/scheduled?time={DAY * 86_400_000}") as answer:
                assert (answer.status, await answer.text()) == (200, "ok")
        for name in ("ada", "grace"):
            found = await finished(http, f"{DAY}-{name}")
            assert (found["status"], found["error"]) == ("complete", None), found
    mails = list((tmp_path / ".pilot/state/email").rglob("*.eml"))
    assert len(mails) == 2
    texts = sorted(path.read_text() for path in mails)
    for text, name in zip(texts, ("ada", "grace"), strict=True):
        assert f"{name}@example.com" in text
        assert "The whales are back." in text
        assert "Subject: Your digest" in text


async def finished(http: aiohttp.ClientSession, id: str) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            async with http.get(f"/digests/{id}") as answer:
                if answer.status == 200:
                    found: dict[str, Any] = json.loads(await answer.text())
                    if found["status"] not in ("queued", "running", "waiting"):
                        return found
            await asyncio.sleep(0.1)
