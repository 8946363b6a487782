"""Room on the disks, and the ports."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import UserError
from runtime.places import DEFAULT_DATA, cache_folder, expanded, state_folder
from runtime.starting.checks.finding import Finding

LEAST_FREE = 1 << 30  # bytes
PORTS = {"pilot dev": 8787, "pilot host": 8788}


def room() -> Iterator[Finding]:
    yield from (_folder(name, path, remedy) for name, path, remedy in _folders())
    yield from (_port(command, port) for command, port in PORTS.items())


def _folders() -> Iterator[tuple[str, Path | None, str]]:
    yield "cache", cache_folder(), "export PILOT_CACHE_DIR=/path/with/space"
    yield "state", state_folder(Path.cwd()), "pilot dev --persist-to /path/with/space"
    try:
        data = expanded(os.environ.get("PILOT_DATA") or DEFAULT_DATA)
    except UserError:
        data = None
    yield "host's data", data, "export PILOT_DATA=/path/with/space"


def _folder(name: str, path: Path | None, remedy: str) -> Finding:
    if path is None:
        return Finding(name, "missing", "there is no home folder", remedy)
    there = next((folder for folder in (path, *path.parents) if folder.is_dir()), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(name, "missing", f"{path}: {error.strerror}", remedy)
    what = f"{path}, {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, "missing", f"{what}, but it cannot be written", remedy)
    return Finding(name, "ok" if free >= LEAST_FREE else "missing", what, remedy if free < LEAST_FREE else "")


def _port(command: str, port: int) -> Finding:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return Finding(f"port {port}", "note", "in use; pilot ps says whether by a pilot", f"{command} --port PORT")
    return Finding(f"port {port}", "ok", f"free for {command}")


__all__ = ["room"]
