"""A host inside gVisor: the walls that it has there are up, and it says which are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hosting import worker

RUNSC = shutil.which(os.environ.get("RUNSC", "runsc"))
pytestmark = pytest.mark.skipif(RUNSC is None, reason="no runsc (gVisor), which RUNSC may name")
ENTRY = """
import os
from workers import Response

def tried(what):
    try: return str(what())
    except OSError as error: return type(error).__name__

async def fetch(request, env):
    return Response(f"fork {tried(os.fork)}, mode {tried(lambda: os.chmod(__file__, 0o600))}")
"""
INSIDE = """
cd {folder}; export PILOT_DATA={folder}/data PILOT_HOST=http://127.0.0.1:8788
pilot() {{ {python} -P -m runtime.cli "$@"; }}
pilot host --engine echo --isolates 1 --log-format json > {folder}/log 2>&1 &
for _ in $(seq 150); do grep -q '"event":"ready"' {folder}/log && break; sleep 0.2; done
cd app; pilot deploy
{python} -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8788/_w/app/').read().decode())"
cat {folder}/log
"""


def test_it_serves_there(tmp_path: Path) -> None:
    worker(tmp_path / "app", ENTRY)
    script = INSIDE.format(folder=tmp_path, python=sys.executable)
    root, box = tmp_path / "state", [str(RUNSC), "--platform=ptrace", "--network=none", "--ignore-cgroups"]
    done = subprocess.run(
        [*box, f"--root={root}", "do", "sh", "-c", script], capture_output=True, text=True, timeout=180, check=False
    )
    assert "fork PermissionError, mode PermissionError" in done.stdout, done.stdout + done.stderr
    assert "Landlock is not available" in done.stdout
