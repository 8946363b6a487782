"""The command line: what it takes, what it refuses, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from serving import without

Start = Callable[..., Awaitable[Any]]
Project = Callable[..., Path]
ENTRY = """
import json
import os
from workers import Response

async def fetch(request, env, ctx):
    return Response(json.dumps({name: env[name] for name in ("A", "B") if name in env}))
"""


async def run(*args: str, cwd: Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a ``pilot`` that is expected to end by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "runtime.cli",
        *args,
        cwd=cwd,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **(env or {})},
    )
    try:
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"it did not end:\n{out.decode()}{err.decode()}") from None
    return process.returncode or 0, out.decode(), err.decode()


async def variables(pilot: Any) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(pilot.url) as response:
        assert response.status == 200
        return json.loads(await response.text())  # type: ignore[no-any-return]


async def test_help_and_version(tmp_path: Path) -> None:
    code, out, _ = await run("--help", cwd=tmp_path)
    assert (code, "dev" in out) == (0, True)
    code, out, _ = await run("dev", "-h", cwd=tmp_path)
    assert code == 0
    for option in ("--config", "--env", "--port", "--host", "--engine", "--var", "--inline", "--drain", "--log-format"):
        assert option in out
    assert version("pilotlight") in (await run("--version", cwd=tmp_path))[1]


@pytest.mark.parametrize("args", [
    ["nonsense"], ["dev", "--port", "many"], ["dev", "--port", "70000"], ["dev", "--log-level", "loud"],
    ["dev", "--drain", "-1"], ["dev", "--no-such-option"],
])  # fmt: skip
async def test_usage_is_2(tmp_path: Path, args: list[str]) -> None:
    code, _, err = await run(*args, cwd=tmp_path)
    assert code == 2
    assert "Usage:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("config", "args", "words"), [
    (None, [], "wrangler.toml"), ("name = [", [], "wrangler.toml"), ('main = "none.py"', [], "none.py"),
    ("main = 3", [], "main"),
    ('main = "entry.py"', ["--var", "noColon"], "noColon"), ('main = "entry.py"', ["--config", "no.toml"], "no.toml"),
    ('main = "entry.py"', ["--engine", "steam"], "steam"), ('main = "entry.py"', ["--host", "256.0.0.1"], "256.0.0.1"),
])  # fmt: skip
async def test_what_cannot_start_is_3(tmp_path: Path, config: str | None, args: list[str], words: str) -> None:
    if config is not None:
        (tmp_path / "wrangler.toml").write_text(config)
        (tmp_path / "entry.py").write_text(ENTRY)
    code, _, err = await run("dev", "--port", "0", *args, cwd=tmp_path)
    assert code == 3, err
    assert words in err
    assert "Traceback" not in err


async def test_a_command_with_a_typo(tmp_path: Path) -> None:
    code, _, err = await run("deplyo", cwd=tmp_path)
    assert code == 2
    assert "did you mean 'deploy'?" in err.lower()


MODELS = '"@cf/meta/llama-2-7b-chat-int8": {engine: vllm, vllm: {model: x/y}}'
AI = 'ai = {binding = "AI"}\n'


@pytest.mark.parametrize("missing", ["vllm", "torch"])
async def test_an_engine_that_is_not_installed_is_3_and_says_what_to_type(
    tmp_path: Path, project: Project, missing: str
) -> None:
    if missing != "vllm" and find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    folder = project(ENTRY, AI)
    code, _, err = await run("dev", "--port", "0", "--engine", "vllm", cwd=folder, env=without(tmp_path, missing))
    assert code == 3, err
    for words in ("--engine", missing, "pip install -e '.[vllm]'"):
        assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("config", "files", "words"), [
    (AI + '[pilot]\nengine = "vllm"\n', {}, "wrangler.toml: pilot.engine"),
    (AI, {"models.yaml": MODELS}, "models.yaml: @cf/meta/llama-2-7b-chat-int8: engine"),
])  # fmt: skip
async def test_a_file_that_names_an_engine_that_is_not_installed_is_answered_before_a_request_is(
    tmp_path: Path, start_pilot: Start, project: Project, config: str, files: dict[str, str], words: str
) -> None:
    pilot = await start_pilot(project(ENTRY, config, files), env=without(tmp_path, "vllm"))
    text = pilot.log()
    assert f"{words}: vllm is not installed here" in text
    assert "pip install -e '.[vllm]'" in text


async def test_a_port_in_use_is_3_and_names_a_way_out(project: Project) -> None:
    folder = project(ENTRY)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = await run("dev", "--port", str(port), cwd=folder)
    assert code == 3
    assert f"127.0.0.1:{port}" in err
    assert f"--port {port + 1}" in err
    assert "Traceback" not in err


async def test_variables_environments_and_configurations(start_pilot: Start, project: Project) -> None:
    folder = project(
        ENTRY,
        '[vars]\nA = "a"\n[env.blue.vars]\nA = "blue"\n',
        {"other.json": '{"main": "entry.py", "vars": {"A": "other"}}'},
    )
    assert await variables(await start_pilot(folder)) == {"A": "a"}
    assert await variables(await start_pilot(folder, "--var", "A:x:y", "--var", "B:2")) == {"A": "x:y", "B": "2"}
    assert await variables(await start_pilot(folder, "--env", "blue")) == {"A": "blue"}
    assert await variables(await start_pilot(folder, env={"CLOUDFLARE_ENV": "blue"})) == {"A": "blue"}
    assert await variables(await start_pilot(folder / "other.json")) == {"A": "other"}


async def test_a_script_needs_no_configuration(start_pilot: Start, tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ENTRY)
    assert await variables(await start_pilot(script, "--var", "A:1")) == {"A": "1"}
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".pilot"] == ["alone.py"]


async def test_it_listens_where_it_is_told(start_pilot: Start, project: Project) -> None:
    folder = project(ENTRY, "[dev]\nport = 0\n")
    assert (await start_pilot(folder)).url.startswith("http://127.0.0.1:")
    assert (await start_pilot(folder, "--host", "localhost")).url.startswith("http://localhost:")
    pilot = await start_pilot(folder, "--host", "0.0.0.0")
    port = pilot.url.rpartition(":")[2]
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}") as response:
        assert response.status == 200


async def test_json_lines_only_on_stdout(start_pilot: Start, project: Project) -> None:
    pilot = await start_pilot(project(ENTRY))
    await variables(pilot)
    line = await pilot.event("request")
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/", 200, "info")
    assert pilot.stderr == []
    assert await pilot.stop() == 0
