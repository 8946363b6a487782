"""Processes below another one, found by the module they run."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

ENGINE, ZYGOTE = "bindings.ai.engine.server", "runtime.isolate.zygote"


def running(pid: int, module: str, *, recursive: bool = True) -> list[psutil.Process]:
    """The living ones below ``pid`` that run ``module``. One that is killed and not yet reaped has no command line."""

    def found() -> Iterator[psutil.Process]:
        for child in psutil.Process(pid).children(recursive=recursive):
            try:
                if module in child.cmdline():
                    yield child
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                pass

    return list(found())


def family_bytes(pid: int) -> int:
    """What a process and its children hold, what they share counted for each."""
    family = psutil.Process(pid)
    return sum(int(process.memory_info().rss) for process in [family, *family.children(recursive=True)])
