"""A host that is killed again and again in the midst of deploys of sites: what was acknowledged is served."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from crashes import WRITERS, kill_servers, kills
from hosting import API, Host, hosting

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


def files(number: int) -> dict[str, bytes]:
    return {f"/{part}.bin": f"{number} {part} ".encode() * (10_000 if part else 10) for part in range(3)}


def name(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Sites:
    """Each is deployed by one at a time, again and again."""

    def __init__(self) -> None:
        self.free = list(range(WRITERS))
        self.of: dict[int, int] = {}  # number → its site

    async def deploy(self, host: Host, number: int) -> bool:
        site = self.of[number] = self.free.pop()
        try:
            return await deploy(host, f"site-{site}", files(number))
        finally:
            self.free.append(site)

    async def lost(self, host: Host, tried: range, acknowledged: set[int]) -> set[int]:
        """Each site is that of its last deploy, or of one that was being made; of one deploy, and whole."""
        wrong = set[int]()
        for place in (host.data / "state/assets/files").glob("*/*"):
            if hashlib.sha256(place.read_bytes()).hexdigest() != place.name:
                wrong.add(-1)
        for site in set(self.of.values()):
            last = max((number for number in acknowledged if self.of[number] == site), default=-1)
            number = await self.served(host, site)
            if number < last or (number >= 0 and self.of[number] != site):
                wrong.add(last)
        return wrong

    async def served(self, host: Host, site: int) -> int:
        """The number of the deploy that it is whole of; -1: there is none; -2: it is not whole."""
        got = [await host.get(f"site-{site}", path) for path in files(0)]
        if {status for status, _ in got} == {404}:
            return -1
        number = int(got[0][1].split()[0])
        return number if [text.encode() for _, text in got] == [*files(number).values()] else -2


async def deploy(host: Host, site: str, content: dict[str, bytes]) -> bool:
    by_name = {name(part): part for part in content.values()}
    listing = {path: {"hash": name(part), "size": len(part)} for path, part in content.items()}
    _, begun = await host.api("POST", f"scripts/{site}/assets-upload-session", {"manifest": listing})
    jwt, form = begun["result"]["jwt"], aiohttp.FormData()
    for wanted in [wanted for bucket in begun["result"]["buckets"] for wanted in bucket]:
        form.add_field(wanted, base64.b64encode(by_name[wanted]), filename=wanted)
    url, sent = f"{host.url}{API}", {"authorization": f"Bearer {jwt}"}
    async with host.http.post(f"{url}/assets/upload?base64=true", data=form, headers=sent) as answer:
        jwt = (await answer.json())["result"]["jwt"]
    form = aiohttp.FormData()
    form.add_field("metadata", json.dumps({"assets": {"jwt": jwt, "config": {}}}))
    form.add_field("none", b"", filename="none")  # or it would not be sent as a form of parts
    async with host.http.put(f"{url}/scripts/{site}", data=form) as answer:
        return answer.status == 200


async def test_sites(tmp_path: Path) -> None:
    sites = Sites()

    def start() -> AbstractAsyncContextManager[Host]:
        return hosting(tmp_path / "data")

    assert await kill_servers(start, kills(3), sites.deploy, sites.lost) > 3
