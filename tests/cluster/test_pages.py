"""What docs/cluster/ shows is run here, as far as one machine has it: units, a job, the steps of an image."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from hosting import Host, free_port, hosting
from ray_support import RAY, STEP_S

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs/cluster").glob("*.md")}
FOLDER = "/opt/pilotlight/bin"
ROWS = '"own/e": {engine: echo, gpus: 1, where: {accelerator: H100}}\n'
TOKEN = "0123456789abcdef" * 4


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    assert found, (page, language)
    return found


# Units


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_units_are_units(tmp_path: Path) -> None:
    [host] = re.findall(r"^```ini\n(.*?)^```", (ROOT / "docs/deploy.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    head, node, more = blocks("lab", "ini")
    (tmp_path / "pilot-host.service.d").mkdir()
    for name, unit in {"ray-head.service": head, "ray-node.service": node, "pilot-host.service": host,
                       "pilot-host.service.d/ray.conf": more}.items():  # fmt: skip
        (tmp_path / name).write_text(re.sub(rf"{FOLDER}/\w+", "/bin/true", unit))
    units = [str(path) for path in tmp_path.glob("*.service")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def settings(unit: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a unit."""
    [command] = re.findall(r"^ExecStart=(\S.*)$", unit, re.MULTILINE)
    environment = [word for line in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE) for word in line.split()]
    return shlex.split(command), dict(word.split("=", 1) for word in environment)


RAY_HERE = """\
#!{python}
import sys
from ray._private import ray_constants, services
from ray.scripts.scripts import main

ray_constants.ENABLE_RAY_CLUSTER = True  # nodes beside the head, and on loopback
services.get_node_ip_address = lambda address=None: "127.0.0.1"
services.find_gcs_addresses = set  # what runs here already is another machine's
if sys.argv[1] == "start":
    sys.argv += {words}
if "--head" in sys.argv:
    sys.argv += ["--temp-dir", "{folder}"]
main()
"""
LOOPBACK = ["--node-ip-address=127.0.0.1", f"--object-store-memory={80 << 20}", "--num-cpus=0", "--num-gpus=2"]


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Path]:
    """The folder of ``pilot`` and of a ``ray`` that starts its nodes on loopback, with little memory and GPUs that are
    none. Its own files lie where their names stay short, as sockets' must."""
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        commands = {"ray": RAY_HERE.format(python=sys.executable, words=LOOPBACK, folder=folder),
                    "pilot": f'#!/bin/sh\nexec {sys.executable} -P -m runtime.cli "$@"\n'}  # fmt: skip
        write_commands(tmp_path / "bin", commands)
        yield tmp_path / "bin"


def write_commands(folder: Path, commands: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


@pytest.mark.e2e
async def test_a_host_serves_from_what_the_units_start(tmp_path: Path, tools: Path) -> None:
    """Also after all of the head's machine has been killed, and begun again by the same unit."""
    (tmp_path / "ray-token").write_text(TOKEN)
    here = {FOLDER: str(tools), "lab1": "127.0.0.1", "6379": str(free_port()), "/etc/pilot": str(tmp_path),
            "/var/lib/pilot": str(tmp_path)}  # fmt: skip
    head, node, host = (settings(replaced(unit, here)) for unit in blocks("lab", "ini"))
    (data := tmp_path / "data").mkdir()
    (data / "models.yaml").write_text(ROWS)
    words, environment = host[0][host[0].index("--ray") :], {**RAY, **host[1]}
    with ExitStack() as first, running(*node, tmp_path / "node") as there:
        first.enter_context(running(*head, tmp_path / "head"))
        async with hosting(data, *words, env=environment) as served:
            assert "a b" in await asked(served.url, data / "token")
            assert await nodes_of(served) == {"127.0.0.1"}
            before = engines(there)
            first.close()
            with running(*head, tmp_path / "again"):
                await asyncio.to_thread(until_up, [str(tools / "ray"), "status", f"--address={words[1]}"], environment)
                assert "a b" in await asked(served.url, data / "token")
                assert engines(there) == before != []


def engines(node: subprocess.Popen[Any]) -> list[int]:
    return [each.pid for each in process_family(node) if "bindings.ai.engine.server" in each.cmdline()]


def until_up(command: list[str], environment: Mapping[str, str]) -> None:
    for _ in range(STEP_S):
        if subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode == 0:
            return
        time.sleep(1)
    raise AssertionError("the head is not up again")


async def nodes_of(host: Host) -> set[str]:
    rows = json.loads(await host.cli("status", "--json"))["engines"]
    return {row["node"] for row in rows if row["state"] == "ready"}


def replaced(text: str, what: Mapping[str, str]) -> str:
    for word, other in what.items():
        text = text.replace(word, other)
    return text


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[Any]]:
    """As systemd runs it: until it ends, and then everything of it."""
    with log.open("w") as out:
        process = subprocess.Popen(command, env={**os.environ, **RAY, **environment}, stdout=out, stderr=out)
    try:
        yield process
    finally:
        for each in process_family(process):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def process_family(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    return [(first := psutil.Process(process.pid)), *first.children(recursive=True)]


async def asked(url: str, token: Path) -> str:
    """What the model answers, as soon as the host, the cluster and a replica are there."""
    until, said = time.monotonic() + 2 * STEP_S, ""
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < until:
            with suppress(OSError, aiohttp.ClientError):
                headers = {"authorization": f"Bearer {token.read_text().strip()}"}
                body = {"prompt": "a b", "max_tokens": 2}
                address = f"{url}/client/v4/accounts/host/ai/run/own/e"
                async with http.post(address, json=body, headers=headers) as answer:
                    said = await answer.text()
                    if answer.status == 200:
                        break
            await asyncio.sleep(1)
    return said


# The job

SLURM = {
    "scontrol": '#!/bin/sh\n[ "$*" = "show hostnames $SLURM_JOB_NODELIST" ] && printf "127.0.0.1\\nelsewhere\\n"\n',
    "srun": '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
}


@pytest.mark.e2e
async def test_the_job_is_a_cluster_and_a_host(tmp_path: Path, tools: Path) -> None:
    """With stand-ins of SLURM's two commands: both nodes are this machine."""
    [job] = blocks("slurm", "bash")
    write_commands(tools, {**SLURM, "activate": f"PATH={tools}:$PATH\n"})
    (data := tmp_path / "pilot").mkdir()
    (data / "models.yaml").write_text('"own/e": {engine: echo, gpus: 2, replicas: 2}\n')  # one on each
    own = free_port()
    here = {"$HOME/pilotlight/bin": str(tools), "6379": str(free_port()), "--host 0.0.0.0 --port 8788": f"--port {own}"}
    (script := tmp_path / "pilot.sh").write_text(replaced(job, here))
    environment = {"HOME": str(tmp_path), "SLURM_JOB_NODELIST": "gpu[1-2]"}
    with running(["bash", str(script)], environment, tmp_path / "log"):
        assert "a b" in await asked(f"http://127.0.0.1:{own}", data / "token"), (tmp_path / "log").read_text()


# The image

PIP = {"PIP_NO_COMPILE": "0"}  # pip takes the value for that of --compile: a fifth of its time


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_images_steps_in_a_fresh_folder(tmp_path: Path) -> None:
    """COPY and every RUN, in an environment of its own: of what is installed only vLLM's build for CUDA is left out."""
    [dockerfile] = blocks("image", "dockerfile")
    bare = tmp_path / "venv"
    venv.create(bare, with_pip=True)
    where = tmp_path / "home/ray/pilotlight"
    steps = re.findall(r"^(COPY|RUN) (.*)$", dockerfile, re.MULTILINE)
    assert [verb for verb, _ in steps] == ["COPY", "RUN", "RUN"]
    for verb, words in steps:
        if verb == "COPY":
            copy_tracked(where)
        else:
            command = words.replace("/home/ray", str(tmp_path / "home/ray")).replace(",vllm]", "]")
            path = {"PATH": f"{bare / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), **PIP}
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            done = subprocess.run(["bash", "-euc", command.replace("--no-cache-dir ", "")], cwd=tmp_path, text=True,
                                  env={**environment, **path}, capture_output=True, timeout=580)  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
    [version] = re.findall(r"^FROM rayproject/ray:([\d.]+)-", dockerfile, re.MULTILINE)
    agent = "import bindings.ai.cluster.agent, grpc, cryptography, ray; print(ray.__version__, bindings.__file__)"
    done = subprocess.run(
        [bare / "bin/python", "-P", "-c", agent], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith(f"{version} {bare}"), done.stdout


def copy_tracked(folder: Path) -> None:
    """What a clone has."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
