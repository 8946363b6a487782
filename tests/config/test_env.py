"""``env``: variables, secrets and environments, as a worker sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving import ROUTER, Served, serving, write

WORKER = (
    ROUTER
    + """
import workers
from workers import Response, WorkerEntrypoint, env as imported
AT_IMPORT = imported.PLAIN

def everything(env): return Response.json({name: env[name] for name in env})
def attribute(env): return Response(env.PLAIN)
def missing(env): return env.MISSING
def missing_item(env): return env["MISSING"]
def lookups(env):
    return Response.json([hasattr(env, "MISSING"), getattr(env, "MISSING", 1), env.get("MISSING"), env.get("PLAIN"),
                          "PLAIN" in env, "MISSING" in env, len(env), sorted(env.keys())])
def assigned(env): env.PLAIN = "x"
def printed(env): print(env, imported); return Response(repr(env))
def from_module(): return Response.json([AT_IMPORT, imported.PLAIN, imported["PLAIN"], "PLAIN" in imported])
def secret(env): return Response(env.SECRET)
def called(env): return env.PLAIN()
"""
)
CONFIG = """
[vars]
PLAIN = "top"
OVERRIDDEN = "from vars"
NUMBER = 3
LIST = [1, "two"]
OBJECT = { a = { b = true } }

[env.staging.vars]
PLAIN = "staged"
"""
SECRETS = 'SECRET="hush-hush-value"\nOVERRIDDEN=from-dev-vars\n'


async def everything(pilot: Served) -> dict[str, object]:
    found: dict[str, object] = json.loads((await pilot.ask("/everything"))[1])
    return found


async def test_variables_and_secrets(tmp_path: Path) -> None:
    write(tmp_path, WORKER, CONFIG, {".dev.vars": SECRETS})
    async with serving(tmp_path, "--var", "ADDED:by hand:twice", "--var", "NUMBER:4") as pilot:
        assert await everything(pilot) == {
            "PLAIN": "top", "OVERRIDDEN": "from-dev-vars", "NUMBER": "4", "LIST": [1, "two"],
            "OBJECT": {"a": {"b": True}}, "SECRET": "hush-hush-value", "ADDED": "by hand:twice",
        }  # fmt: skip
        assert await pilot.ask("/attribute") == (200, "top")
        assert await pilot.ask("/secret") == (200, "hush-hush-value")
        assert await pilot.ask("/from_module") == (200, '["top","top","top",true]')
        names = ["ADDED", "LIST", "NUMBER", "OBJECT", "OVERRIDDEN", "PLAIN", "SECRET"]
        lookups = json.loads((await pilot.ask("/lookups"))[1])
        assert lookups == [False, 1, None, "top", True, False, 7, names]
        for path in ("/missing", "/missing_item"):
            status, text = await pilot.ask(path)
            assert status == 500
            assert "env has no binding 'MISSING'; it has: " + ", ".join(names) in text
            assert "Bindings are named in wrangler.toml" in text
        assert "env.PLAIN cannot be set" in (await pilot.ask("/assigned"))[1]
        assert (await pilot.ask("/called"))[0] == 500
        assert "hush" not in (await pilot.ask("/printed"))[1]

        since = len(pilot.events)
        (tmp_path / ".dev.vars").write_text('SECRET="hush-again"\n')
        await pilot.event("reloaded", since=since)
        assert await pilot.ask("/secret") == (200, "hush-again")
        assert (await everything(pilot))["OVERRIDDEN"] == "from vars"
    assert "hush" not in pilot.log(), "a secret's value is never printed"
    banner = next(line for line in pilot.events if line["event"] == "banner")
    assert {"name": "SECRET", "what": "secret", "where": "(hidden)"} in banner["bindings"]


@pytest.mark.parametrize("choice", [{"args": ["--env", "staging"]}, {"env": {"CLOUDFLARE_ENV": "staging"}}])
async def test_environments(tmp_path: Path, choice: dict[str, object]) -> None:
    """Variables are not inherited, and an environment has secrets of its own."""
    write(tmp_path, WORKER, CONFIG, {".dev.vars": SECRETS, ".dev.vars.staging": "SECRET=staged-secret\n"})
    async with serving(tmp_path, *choice.get("args", []), env=choice.get("env")) as pilot:
        assert await everything(pilot) == {"PLAIN": "staged", "SECRET": "staged-secret"}


async def test_a_class_sees_them_too(tmp_path: Path) -> None:
    entry = (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request): return Response(self.env.PLAIN + self.env['OVERRIDDEN'])"
    )
    write(tmp_path, entry, CONFIG)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "topfrom vars")
