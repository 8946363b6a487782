"""GPUs, their driver, and the CUDA that torch was built for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from runtime.starting.checks.finding import Finding
from runtime.starting.checks.requirements import numbers, version_of
from runtime.starting.gpu import LIBRARY, Driver

_NODE = "/dev/nvidiactl"
_DRIVER = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"
_CONTAINER = "In a container:  docker run --gpus all   (NVIDIA Container Toolkit)"


def gpus(driver: Driver | None) -> Iterator[Finding]:
    if driver is None:
        yield _without()
        return
    for gpu in driver.gpus:
        yield Finding("GPU", "ok", f"{gpu.name}, {gpu.free / 2**30:.0f} of {gpu.memory / 2**30:.0f} GiB free")
    if not driver.gpus:
        yield Finding("GPU", "missing", "the driver knows none", _CONTAINER)
    yield _cuda(driver)


def _without() -> Finding:
    if os.path.exists(_NODE):
        return Finding("GPU", "missing", f"{_NODE} is there, but {LIBRARY} does not answer", f"{_CONTAINER}\n{_DRIVER}")
    return Finding("GPU", "note", "no NVIDIA driver: models run on the CPU")


def _cuda(driver: Driver) -> Finding:
    what = f"{driver.version}, runs CUDA up to {'.'.join(map(str, driver.cuda))}"
    wanted = _wanted()
    if wanted is None:
        return Finding("driver", "ok", what)
    built = f"torch is built for CUDA {'.'.join(map(str, wanted))}"
    if driver.cuda[0] >= wanted[0]:  # a driver runs every minor version of its major one
        return Finding("driver", "ok", f"{what}; {built}")
    return Finding("driver", "missing", f"{what}; {built}", f"A newer driver: {_DRIVER}")


def _wanted() -> tuple[int, ...] | None:
    """Of the wheel of torch: its version says it (``2.13.0+cu130``), or its runtime's package does."""
    if found := re.search(r"\+cu(\d+)(\d)$", version_of("torch") or ""):
        return int(found[1]), int(found[2])
    version = next(filter(None, map(version_of, ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12"))), None)
    return numbers(version)[:2] if version else None


__all__ = ["gpus"]
