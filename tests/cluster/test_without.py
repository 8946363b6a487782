"""Who has no cluster has nothing of Ray: not installed, not loaded."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement

from hosting import hosting


@pytest.mark.e2e
async def test_a_host_that_serves_a_model_has_not_loaded_it(tmp_path: Path) -> None:
    rows = '"own/one": {engine: echo}\n"own/two": {engine: echo, replicas: 2}\n'
    (tmp_path / "models.yaml").write_text(rows)
    async with hosting(tmp_path) as host:
        for name in ("one", "two"):
            fields = {"prompt": "a b", "max_tokens": 2}
            status, answer = await host.api("POST", f"/client/v4/accounts/host/ai/run/own/{name}", fields)
            assert (status, answer["result"]["response"]) == (200, "a b")
        processes = [psutil.Process(host.process.pid), *psutil.Process(host.process.pid).children(recursive=True)]
        assert any("bindings.ai.engine.server" in each.cmdline() for each in processes)
        mapped = {file.path for each in processes for file in each.memory_maps()}
        assert not [path for path in mapped if "/site-packages/ray/" in path]


def test_an_installation_without_extras_does_not_need_it() -> None:
    assert "starlette" in set(needed("pilotlight"))
    assert "ray" not in set(needed("pilotlight"))


def needed(name: str, known: set[str] | None = None) -> Iterator[str]:
    """What comes with a distribution that is installed without extras."""
    known = set() if known is None else known
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in known:
            known.add(requirement.name)
            yield requirement.name
            yield from needed(requirement.name, known)
