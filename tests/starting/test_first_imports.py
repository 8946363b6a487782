"""What a worker without a model pays for at its start: modules that only others need come later."""

from __future__ import annotations

from pathlib import Path

from serving import serving, write

HELLO = "from workers import Response\ndef fetch(): return Response('hello')\n"
LATER = ("bindings.ai.serving", "bindings.ai.service", "starlette", "html.entities", "importlib.metadata",
         "importlib.resources", "prometheus_client", "aiohttp", "yaml")  # fmt: skip


async def test_what_nobody_has_asked_for_is_not_imported(tmp_path: Path) -> None:
    """Neither by the supervisor nor by the processes below it; and all of it answers once it is asked for."""
    write(tmp_path, HELLO)
    async with serving(tmp_path, engine=None, env={"PYTHONPROFILEIMPORTTIME": "1"}) as pilot:
        assert await pilot.ask() == (200, "hello")
        imported = names(pilot.log())
        assert {"runtime.supervisor.http.app", "runtime.isolate.serving.isolate", "uvicorn"} <= imported
        assert not imported & set(LATER)
        status, text = await pilot.ask("/v1/models")
        assert status == 200, text
        assert "@cf/meta/llama-2-7b-chat-int8" in text
        assert (await pilot.ask("/__pilot/metrics"))[0] == 200
        assert {"bindings.ai.serving", "starlette"} <= names(pilot.log())


def names(log: str) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}
