"""What a host writes down: every change, whole, by whom; of what is refused, how often."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from hosting import Host, hosting, says, worker

pytestmark = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")
RUN = "/client/v4/accounts/host/ai/run/@cf/meta/llama-2-7b-chat-int8"


async def audit(host: Host, *words: str) -> list[str]:
    return (await host.cli("host", "--data", str(host.data), "audit", *words)).splitlines()


async def counted(host: Host, found: re.Pattern[str]) -> str:
    """The first such line, once it is written down."""
    async with asyncio.timeout(60):
        while True:
            for line in await audit(host, "--counted"):
                if found.search(line):
                    return line
            await asyncio.sleep(0.2)


async def test_noise_does_not_push_out_what_was_changed(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", says("one"), name="app"))
        changes = await audit(host)
        assert any(" 200  PUT " in line and "/scripts/app " in line and " first " in line for line in changes)
        token, host.token = host.token, ""
        for number in range(40):
            await host.api("DELETE", f"scripts/app{number}?a-secret=1")
            await host.api("GET", f"services/{'x' * 5000}{number}", headers={"authorization": "Bearer wrong"})
        host.token = token
        assert await audit(host) == changes
        line = await counted(host, re.compile(r" 400 +×40 "))
        assert re.search(r"DELETE .*/scripts/app0 .* 127\.0\.0\.1$", line)
        lines = "\n".join(await audit(host, "--counted"))
        assert re.search(r" 403 +×20 ", lines), "wrong tokens"
        assert re.search(r" 429 +×20 ", lines), "and those beyond twenty in a minute"
        assert "secret" not in lines
        assert max(map(len, lines.splitlines())) < 400


async def test_a_long_path_is_kept_in_part(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        assert (await host.api("DELETE", f"services/{'x' * 5000}"))[0] == 404
        (line,) = [line for line in await audit(host) if "xxx" in line]
        assert len(line) < 400
        assert "…" in line


async def test_the_models_routes_limit_wrong_tokens_and_count_the_right_ones(tmp_path: Path) -> None:
    """A right token is let in all the same: who guesses locks nobody out."""
    async with hosting(tmp_path / "data") as host:
        wrong = {"authorization": "Bearer wrong"}
        answers = [await host.ask(RUN, "POST", json={"prompt": "a"}, headers=wrong) for _ in range(25)]
        assert [status for status, _ in answers] == [401] * 20 + [429] * 5
        assert "wait a minute" in answers[-1][1]
        assert (await host.api("GET", "services/x", headers=wrong))[0] == 429, "they are counted together"
        for _ in range(3):
            assert (await host.ask(RUN, "POST", json={"prompt": "a"}))[0] == 200
        assert (await host.api("GET", "services/x"))[0] == 404
        assert re.search(r"ai +first +127", await counted(host, re.compile(r" 200 +×3 ")))
        assert re.search(r" 429 +×6 ", "\n".join(await audit(host, "--counted")))
