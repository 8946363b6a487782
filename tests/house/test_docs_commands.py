"""Every block of shell in the README and docs/ is run as it stands, or is known to need more than this machine."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hosting import hosting, says, worker
from serving import Served, serving, write

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(page for where in ("", "bindings/", "cluster/") for page in sorted(ROOT.glob(f"docs/{where}*.md"))),
]
BLOCKS = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]
WORKERS = (ROOT / "docs/workers.md").read_text("utf-8")
# What decides where a block is run; the first that is in it.
RUN = {
    "pilot init": "starting/test_init.py",
    "pilot check": "checking/test_check.py",
    "pilot dev": "test_readme.py, ai/test_shim.py, supervisor/test_tracing.py; installing: test_install.py",
    "pilot deploy --config": "test_deploy_docs.py",
    "pilot versions": "here",
    "pilot completion": "here, and starting/test_completion.py",
    "__pilot/metrics": "here",
    "bindings.ai.shim": "ai/test_shim.py",
    "pilot bench": "test_readme.py",
    "pilot doctor": "starting/test_doctor.py",
    "pilot models": "ai/terminal/test_models.py",
    "pilot types": "starting/test_types.py",
    "pilot pull": "ai/terminal/test_pull.py",
    "pilot run": "ai/terminal/test_run.py",
    "pilot queues": "queues/test_queues_kept.py",
    "pilot ps": "ai/terminal/test_ps.py",
    "pilot cron": "cron/test_cron.py",
    "pilot d1": "d1/test_commands.py",
    "cdn-cgi/local/email": "email/test_email.py",
    "pilot kv": "kv/test_kv_commands.py",
    "pilot r2": "r2/test_r2_rest.py",
    "pilot vectorize": "vectorize/test_vectorize_rest.py",
    "pilot workflows": "workflows/test_workflows_rest.py",
    "sqlite3 ": "bindings/test_small_products.py",
}
ELSEWHERE = {
    "make dev": "it is what CI runs",
    ".venv/bin/pytest": "it is what runs this",
    "pip install": "needs an index; which extras there are is checked below",
    "sudo ": "needs systemd; the unit is verified below",
    "docker ": "needs Docker; cluster/test_pages.py does the steps of the image of a node",
    "kubectl ": "needs Kubernetes; cluster/test_manifest.py holds the manifest against its types",
    "npx wrangler": "needs npm; host/test_wrangler.py and ai/test_shim.py run the same",
    "pilot host --host 0.0.0.0": "leaves loopback; host/test_host.py does the same on it",
    "pilot host backup": "host/test_backup.py does the same",
    "export PILOT_HOST": "needs another machine",
    "pilot deploy": "host/test_host.py",
}


def test_every_block_is_run_somewhere() -> None:
    known = (*RUN, *ELSEWHERE)
    assert not [(page, block) for page, block in BLOCKS if not any(word in block for word in known)]
    for word in known:
        assert any(word in block for _, block in BLOCKS), f"no block has {word!r} any more"


def test_every_extra_is_declared() -> None:
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    for _, block in BLOCKS:
        for extras in re.findall(r"pip install (?:-e )?'\.\[([\w,-]+)\]'", block):
            assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras.split(",")), block
        assert "'pilotlight[" not in block  # which nobody has published


def test_no_message_names_an_install_that_cannot_be() -> None:
    sources = [path for folder in ("runtime", "bindings") for path in (ROOT / folder).rglob("*.py")]
    named = [path for path in sources if re.search(r"pip install '?pilotlight\[", path.read_text("utf-8"))]
    assert not named


async def test_the_metrics_block(tmp_path: Path) -> None:
    write(tmp_path, says("fine"))
    block = next(block for _, block in BLOCKS if "__pilot/metrics" in block)
    async with serving(tmp_path) as pilot:
        shown = await bash(block.replace("http://localhost:8787", pilot.url), tmp_path)
        assert "pilot_http_requests_total" in shown


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="a host is Linux's")
async def test_the_versions_block(tmp_path: Path) -> None:
    block = next(block for _, block in BLOCKS if "pilot versions" in block)
    async with hosting(tmp_path / "data") as host:
        for number in range(4):
            await host.deploy(worker(tmp_path / "app", says(str(number))))
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[1] != "tail":  # which goes on until it is stopped
                await host.cli(*words[1:], cwd=tmp_path / "app")
        assert await host.get("app") == (200, "2")  # version 3


async def test_the_completion_block() -> None:
    block = next(block for _, block in BLOCKS if "pilot completion" in block)
    pressed = 'COMP_WORDS=(pilot de) COMP_CWORD=1\n_pilot_completion pilot\necho "${COMPREPLY[@]}"'
    words = await bash(f"{block}\n{pressed}")
    assert words.split() == ["dev", "deploy", "deployments", "delete"]


@pytest.fixture
async def shown(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    write(tmp_path, request.param, "ai = {binding = 'AI'}\n")
    async with serving(tmp_path) as pilot:
        yield pilot


BLOCKS_OF_PYTHON = re.findall(r"^```python\n(.*?)^```", WORKERS, re.MULTILINE | re.DOTALL)
EXAMPLES = [block for block in BLOCKS_OF_PYTHON if "def fetch" in block]  # a test's example is none


@pytest.mark.parametrize("shown", EXAMPLES, indirect=True, ids=["fastapi", "starlette", "django", "js"])
async def test_the_workers_shown_answer(request: pytest.FixtureRequest, shown: Served) -> None:
    entry = (shown.folder / "entry.py").read_text()
    for name in re.findall(r"^from (fastapi|django)\b", entry, re.MULTILINE)[:1]:
        pytest.importorskip(name)
    status, text = await shown.ask()
    assert (status in (200, 201), "york" in text) == (True, True), (status, text, shown.log())


def test_every_name_of_js_is_listed() -> None:
    listed = re.search(r"^\| `js` \| \|$.*?\n\n", WORKERS, re.MULTILINE | re.DOTALL)
    assert listed
    source = (ROOT / "runtime/sdk/js/__init__.py").read_text("utf-8")
    names = re.findall(r'"(\w+)"', source[source.index("__all__") : source.index("]", source.index("__all__"))])
    later = (ROOT / "runtime/sdk/js/_later.py").read_text("utf-8")
    names += re.findall(r'^    "(\w+)": "', later, re.MULTILINE)
    assert set(names) <= set(re.findall(r"`(\w+)[.`]", listed[0])) | {"Uint8ClampedArray"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_unit_is_one(tmp_path: Path) -> None:
    deploy = (ROOT / "docs/deploy.md").read_text("utf-8")
    unit = re.search(r"^```ini\n(.*?)^```", deploy, re.MULTILINE | re.DOTALL)
    assert unit
    file = tmp_path / "pilot-host.service"
    file.write_text(unit[1].replace("/opt/pilotlight/bin/pilot", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


async def bash(script: str, cwd: Path = ROOT) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, cwd=cwd, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0, script
    return out.decode()
