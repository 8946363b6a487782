"""uv's failures as their reader needs them: which package, in which file and line, and what to type."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from runtime.errors import ConfigError
from runtime.packages.declared import Declared, Need

_NETWORK = re.compile(
    r"error sending request|dns error|network was disabled|Failed to fetch|timed out|certificate", re.I
)
_OFFLINE_REMEDY = """\
Is this machine online? What was installed once works without a network.
UV_DEFAULT_INDEX=https://... names another index than PyPI."""
_BUILD_REMEDY = """\
It has no wheel for this Python and machine, and its source cannot be built here.
Choose a version that has one, or install what the build asks for above."""


def invalid(named: Declared) -> ConfigError | None:
    """The first requirement that is none (PEP 508): of a project that has one, uv would run the build."""
    if named.file.suffix == ".txt":
        return None  # has options too; uv knows them
    from packaging.requirements import InvalidRequirement, Requirement  # slow, and only where packages are resolved

    for need in named.needs:
        try:
            Requirement(need.text)
        except InvalidRequirement as error:
            what = f"{need.text!r} is not a requirement: {str(error).splitlines()[0]}"
            return ConfigError(what, where=_place(named, need), remedy='As in:  "fastapi>=0.115"')
    return None


def unfit(file: Path, python: Need | None) -> ConfigError | None:
    """``python``: which versions (PEP 440) ``file`` is for, if it says so. Raises ConfigError: it names none."""
    if python is None or not python.text:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    here, where = platform.python_version(), f"{file.name}, line {python.line}" if python.line else file.name
    try:
        if SpecifierSet(python.text).contains(here, prereleases=True):
            return None
    except InvalidSpecifier:
        what = f"requires-python is {python.text!r}, which names no versions"
        raise ConfigError(what, where=where, remedy='As in:  requires-python = ">=3.11"') from None
    what = f"requires-python is {python.text!r}, and this is Python {here}"
    return ConfigError(what, where=where, remedy="Install Pilotlight for a Python that fits, or let it fit this one.")


def unmet(named: Declared, said: str) -> ConfigError:
    """``said``: uv's words."""
    need, text = _meant(named, said), _bare(said)
    where = _place(named, need)
    if _NETWORK.search(said):
        return ConfigError(f"the packages cannot be fetched\n{text}", where=where, remedy=_OFFLINE_REMEDY)
    if "build" in said.lower() and "No solution" not in said:
        return ConfigError(f"a package cannot be built\n{text}", where=where, remedy=_BUILD_REMEDY)
    what = f"{need.text!r} cannot be had" if need is not None else "the packages cannot be had"
    remedy = f"Mend that line of {named.file.name} and save it." if need is not None else f"Mend {named.file.name}."
    return ConfigError(f"{what}\n{text}", where=where, remedy=remedy)


def _meant(named: Declared, said: str) -> Need | None:
    """The requirement that is spoken of: one whose own text is said, else whose name is."""
    spoken = re.sub(r"[_.]", "-", said.lower())
    for end in (lambda need: need.text[len(need.name) :], lambda need: ""):
        for need in named.needs:
            if need.name and re.search(rf"(?<![\w-]){re.escape(need.name + end(need))}(?![\w-])", spoken):
                return need
    return None


def _place(named: Declared, need: Need | None) -> str:
    return f"{named.file.name}, line {need.line}" if need is not None and need.line else named.file.name


def _bare(said: str) -> str:
    """Without progress, and without the end of a build's long story."""
    lines = [line for line in said.splitlines() if not line.startswith(("Using ", "Resolved ", "Downloading "))]
    return "\n".join(lines[:20]).removeprefix("error: ").strip()


__all__ = ["invalid", "unfit", "unmet"]
