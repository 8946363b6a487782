"""A setting that is saved applies at once, or is said to need a restart."""

from __future__ import annotations

import signal
from pathlib import Path

from serving import serving, write

AT_ONCE = {
    "hosts",
    "body_limit",
    "drain",
    "wait_until",
    "padding",
    "engine",
    "openai_routes",
    "cors",
    "models",
    "batch_concurrency",
    "gateway_cache",
    "gateway_logs",
    "gateways",
    "vectorize",
    "cache_size",
    "d1_query_timeout",
    "cron_clock",
    "workflow_run_limit",
    "object_idle",
    "objects_in_memory",
    "loaded_workers",
    "loaded_idle",
    "workflow_clock",
    "queue_size",
}
ENTRY = """
from workers import Response

async def fetch(request, env, ctx):
    return Response("fine")
"""


async def test_what_needs_a_restart_says_so_once(tmp_path: Path) -> None:
    def config(more: str = "", port: int = 0) -> str:
        return f'name = "test"\nmain = "entry.py"\n{more}[dev]\nport = {port}\n'

    write(tmp_path, ENTRY)
    file = tmp_path / "wrangler.toml"
    file.write_text(config())
    async with serving(tmp_path, port=()) as pilot:
        for text in (config(port=9), config("[pilot]\notlp = 'http://127.0.0.1:9'\n", port=9), config(), config()):
            since = len(pilot.events)
            file.write_text(text)
            await pilot.event("reloaded", since=since)
        said = [line["text"] for line in pilot.events if line["event"] == "warning"]
        counts = "changed, and counts once pilot dev is restarted"
        assert said == [f"wrangler.toml: dev.port: {counts}", f"wrangler.toml: pilot.otlp: {counts}"]
        assert await pilot.ask() == (200, "fine")


async def test_a_flag_wins_anyway(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        write(tmp_path, ENTRY, "[dev]\nport = 9\n")
        await pilot.event("reloaded")
        assert not [line for line in pilot.events if line["event"] == "warning"]


async def test_limits_of_the_server_apply_at_once(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        write(tmp_path, ENTRY, "[pilot]\nbody_limit = 3\ndrain = 7\n")
        await pilot.event("reloaded")
        assert (await pilot.ask(method="POST", data=b"four"))[0] == 413
        assert (await pilot.ask("/v1/embeddings", method="POST", data=b"four"))[0] == 413
        pilot.process.send_signal(signal.SIGTERM)
        assert (await pilot.event("stopping"))["seconds"] == 7


def test_every_setting_is_applied_or_said_to_wait() -> None:
    from bindings import products
    from runtime.config import DevSettings, PilotSettings
    from runtime.supervisor.reload.restart import at_start

    kinds = [PilotSettings, *(product.settings for product in products() if product.settings)]
    every = {f"pilot.{name}" for kind in kinds for name in kind.__struct_fields__}
    every |= {f"dev.{name}" for name in DevSettings.__struct_fields__}
    assert {*at_start()} | {f"pilot.{name}" for name in AT_ONCE} == every
