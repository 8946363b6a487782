"""A worker that is changed without end, and what must be true of it.

What an acknowledged change leads to must be what answers from then on. One that is refused changes nothing. One whose
answer never came, since the host was killed, happened whole or not at all: what answers next says which.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp

from bench.faults.machine import PATIENCE_S, Machine

API = "/client/v4/accounts/host/workers/scripts"
KEYS = ("K0", "K1", "K2")
_ENTRY = """
import os, time
from workers import Response, URL
time.sleep({pause})
def fetch(request, env):
    if URL(request.url).pathname == "/pid": return Response(str(os.getpid()))
    return Response.json([{text!r}, {{key: getattr(env, key) for key in {keys!r} if hasattr(env, key)}}])
"""


class Version(NamedTuple):
    text: str
    secrets: tuple[tuple[str, str], ...]


class State(NamedTuple):
    """What answers, and what the next change builds on: after a rollback they differ. None: there is no worker."""

    answering: Version | None
    latest: Version | None


Change = Callable[[State], State]


@dataclass(eq=False)
class Changing:
    """One worker, changed by one client. ``counts``: acknowledged, refused, unanswered, blamed, lost."""

    machine: Machine
    name: str
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)  # in words
    possible: set[State] = field(default_factory=lambda: {State(None, None)})
    uploads: dict[str, Version] = field(default_factory=dict)  # by id
    number: int = 0

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self.once()

    async def once(self) -> None:
        """What was so must still be so after a while; then one change, and that must be so."""
        await self.check("some time after")
        choices = [self.deploy, self.deploy, self.secret, self.secret, self.go_back, self.delete]
        await self.chance.choice(choices)()
        await self.check("right after")
        await asyncio.sleep(self.chance.random() * 0.2)

    async def deploy(self) -> None:
        self.number += 1
        text = f"{self.name} {self.number}"
        entry = _ENTRY.format(text=text, pause=round(self.chance.random() * 0.3, 2), keys=KEYS)

        def change(state: State) -> State:
            new = Version(text, state.latest.secrets if state.latest else ())
            return State(new, new)

        answer = await self._told(change, "PUT", "", data=form(entry))
        latest = next(iter(self.possible)).latest
        if answer is not None and latest is not None:
            self.uploads[str(uuid.UUID(answer["deployment_id"]))] = latest

    async def secret(self) -> None:
        key, text = self.chance.choice(KEYS), str(self.chance.random())

        def change(state: State) -> State:
            assert state.latest is not None
            new = Version(state.latest.text, tuple(sorted({**dict(state.latest.secrets), key: text}.items())))
            return State(new, new)

        if all(state.latest for state in self.possible):
            await self._told(change, "PUT", "/secrets", json={"name": key, "text": text, "type": "secret_text"})

    async def go_back(self) -> None:
        if self.uploads:
            id = self.chance.choice(list(self.uploads))
            body = {"versions": [{"version_id": id, "percentage": 100}]}
            to = self.uploads[id]
            await self._told(lambda state: State(to, state.latest), "POST", "/deployments", json=body)

    async def delete(self) -> None:
        chosen = self.chance.random() < 0.3 and all(state.latest for state in self.possible)
        if chosen and await self._told(lambda _: State(None, None), "DELETE", "") is not None:
            self.uploads.clear()

    async def check(self, when: str) -> None:
        """What answers is one of what may."""
        found, body = await self._answer()
        matching = {state for state in self.possible if state.answering == found}
        if not matching:
            self.counts["lost"] += 1
            self.lost.append(f"{when} {sorted(self.possible)}: {found} ({body[:200]})")
            matching = {State(found, found)}
        self.possible = matching

    async def _answer(self) -> tuple[Version | None, str]:
        """Once there is one that says so: while a process is begun again, it is 503."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with self.machine.http.get(f"{self.machine.url}/_w/{self.name}/") as response:
                        body = await response.text()
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(0.05)
                    continue
                if response.status == 200:
                    text, secrets = json.loads(body)
                    return Version(text, tuple(sorted(secrets.items()))), body
                if response.status == 404:
                    return None, body
                await asyncio.sleep(0.05)

    async def _told(self, change: Change, method: str, path: str, **options: object) -> dict[str, str] | None:
        """The result of a change that was acknowledged."""
        status, answer = await _called(self.machine, method, f"{self.machine.url}{API}/{self.name}{path}", **options)
        changed = {change(state) for state in self.possible}
        if status == 200:
            self.counts["acknowledged"] += 1
            self.possible = changed
            return answer
        if status == 0 or status == 500:
            self.counts["unanswered"] += 1
            self.possible |= changed
        else:
            self.counts["blamed" if status == 400 else "refused"] += 1
        return None


def form(entry: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("metadata", json.dumps({"main_module": "entry.py", "keep_bindings": ["secret_text"]}))
    made.add_field("entry.py", entry, filename="entry.py", content_type="text/x-python")
    return made


async def _called(machine: Machine, method: str, url: str, **options: object) -> tuple[int, dict[str, str]]:
    """(0, {}) where no answer came."""
    try:
        async with machine.http.request(method, url, headers=machine.headers, **options) as response:  # type: ignore[arg-type]
            body = await response.read()
            return response.status, (json.loads(body).get("result") or {}) if response.status == 200 else {}
    except (aiohttp.ClientError, OSError, ValueError):
        return 0, {}


async def put(machine: Machine, name: str, entry: str, bindings: list[dict[str, str]] | None = None) -> None:
    """A worker that stays as it is."""
    made = aiohttp.FormData()
    made.add_field("metadata", json.dumps({"main_module": "entry.py", "bindings": bindings or []}))
    made.add_field("entry.py", entry, filename="entry.py", content_type="text/x-python")
    status, answer = await _called(machine, "PUT", f"{machine.url}{API}/{name}", data=made)
    assert status == 200, (status, answer)


__all__ = ["API", "Changing", "form", "put"]
