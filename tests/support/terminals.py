"""``pilot`` as it is typed, in a folder of its own, and a GPU's driver that is none."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = (Path(__file__).parents[2] / "docs/first-hour.md").read_text("utf-8")
PILOT = [sys.executable, "-P", "-m", "runtime.cli"]
_NVML = """
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { strncpy(text, "DRIVER", length); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *number) { *number = CUDA; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)1; return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned length) { strncpy(text, "NVIDIA Test", length); return 0; }
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory) {
  memory[0] = 24ull << 30; memory[1] = 20ull << 30; memory[2] = 4ull << 30; return 0; }
"""


def typed(folder: Path, *words: str, code: int = 0, stdin: str | None = None, within: float = 120, **env: str) -> str:
    """What ``pilot WORDS`` prints; what it complains of, where another ``code`` than 0 is expected."""
    done = subprocess.run(
        [*PILOT, *words], cwd=folder, env={**os.environ, **env}, timeout=within, capture_output=True, text=True,
        **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
    )  # type: ignore[call-overload]  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    return str(done.stderr if code else done.stdout)


def told(folder: Path, *words: str, within: float = 120, **env: str) -> Any:
    """The same with ``--json``."""
    return json.loads(typed(folder, *words, "--json", within=within, **env))


def block(heading: str) -> list[list[str]]:
    """The commands of the shell block below a heading of docs/first-hour.md, without ``pilot``."""
    found = re.search(rf"^## {re.escape(heading)}\n.*?^```sh\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    assert found, heading
    return [shlex.split(line)[1:] for line in found[1].splitlines() if line.startswith("pilot ")]


def gpu(folder: Path, *, driver: str = "590.1", cuda: int = 13000) -> dict[str, str]:
    """The environment in which a driver answers that knows one GPU of 24 GiB."""
    if (compiler := shutil.which("cc")) is None or sys.platform != "linux":
        pytest.skip("needs a C compiler")
    source = folder / "nvml.c"
    source.write_text(_NVML.replace("DRIVER", driver).replace("CUDA", str(cuda)))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return {"LD_LIBRARY_PATH": str(folder)}
