"""Calls between two workers: each case is a function of caller.py or objects.py, and calls callee.py."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

HERE = Path(__file__).parent
CALLER, CALLEE = (HERE / "caller.py").read_text(), (HERE / "callee.py").read_text()
BESIDE = {name: (HERE / name).read_text() for name in ("checks.py", "objects.py")}
CASES = re.findall(r"^async def (\w+)\(env\):", CALLER + BESIDE["objects.py"], re.MULTILINE)
SELF = '[[services]]\nbinding = "SELF"\nservice = "callee"\nentrypoint = "Named"\n'

pytestmark = pytest.mark.asyncio(loop_scope="module")


def service(binding: str, service: str = "callee", more: str = "") -> str:
    return f'[[services]]\nbinding = "{binding}"\nservice = "{service}"\n{more}\n'


BINDINGS = "".join([
    service("DEFAULT"),
    service("NAMED", more='entrypoint = "Named"\nprops = {p = 7, deep = {list = [1]}}'),
    service("SELF", more='entrypoint = "Named"'),
    service("BARE", more='entrypoint = "Bare"'),
    service("HIDDEN", more='entrypoint = "_Hidden"'),
    service("UNKNOWN", more='entrypoint = "Unknown"'),
    service("GONE", "nosuch"),
])  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("rpc")
    write(folder / "caller", CALLER, BINDINGS, BESIDE)
    write(folder / "callee", CALLEE, SELF)
    for name in ("caller", "callee"):
        config = folder / name / "wrangler.toml"
        config.write_text(config.read_text().replace('"test"', f'"{name}"'))
    async with serving(folder, "-c", "caller/wrangler.toml", "-c", "callee/wrangler.toml") as running:
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n")


async def test_a_request_is_passed_on(pilot: Served) -> None:
    status, text = await pilot.ask("/request_is_passed_on", "POST", data=b"body")
    assert (status, text) == (201, f"POST {pilot.url}/request_is_passed_on body")


async def test_what_an_event_holds_goes_with_it(pilot: Served) -> None:
    for case in ("hold_a_stub", "forgotten", "use_what_an_earlier_event_held"):
        assert await pilot.ask(f"/{case}") == (200, "held\n"), case


async def test_what_is_made_up_is_refused(pilot: Served) -> None:
    """Nothing but errors comes of it, and the next call is as ever."""
    for case in ("what_is_made_up", "methods"):
        assert await pilot.ask(f"/{case}") == (200, "held\n"), case


async def test_a_socket_is_handed_on(pilot: Served) -> None:
    async with pilot.http.ws_connect(pilot.url + "/request_for_a_socket") as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "echo hello"


async def test_own_entrypoints_are_exports(pilot: Served) -> None:
    assert await pilot.ask("/request_exports") == (200, "held\n"), pilot.log()
