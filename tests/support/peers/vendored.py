"""Packages of the tests' own environment beside a worker, as it may bring them itself."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def bring(folder: Path, *names: str) -> None:
    """These and what they need, in ``python_modules``."""
    for package in _with_needs(*names).values():
        for file in package.files or ():
            wanted = file.suffix in (".py", ".so", ".pem") or file.name == "METADATA"
            if wanted and ".." not in file.parts:
                target = folder / "python_modules" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(package.locate_file(file)), target)


def _with_needs(*names: str) -> dict[str, metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            needs = map(Requirement, found[name].requires or ())
            todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


__all__ = ["bring"]
