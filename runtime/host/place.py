"""What a host finds at its start, or does not."""

from __future__ import annotations

import fcntl
import os
import ssl
from pathlib import Path

from runtime.errors import UserError
from runtime.host.store import local_token
from runtime.isolate import sandbox
from runtime.supervisor.processes.isolates import is_forking


def lock_data(data: Path) -> int:
    """A lock on the data directory for as long as this process lives. Raises UserError."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data / local_token.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"cannot be used: {error.strerror}", where=str(data), remedy="--data FOLDER") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError("another host serves from it", where=str(data), remedy="--data FOLDER") from None
    return lock


def check_namespaces() -> None:
    """Raises UserError."""
    missing = sandbox.namespaces.missing() if is_forking() else "isolates are no forks here (PILOT_SPAWN)"
    if missing:
        remedy = (
            "Allow user namespaces (sysctl user.max_user_namespaces; a container's seccomp profile), or leave it out."
        )
        raise UserError(f"not to be had here: {missing}", where="--namespaces", remedy=remedy)


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    return tls


def empty_folder(folder: Path) -> Path:
    """What isolates of an earlier life left behind is gone."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


__all__ = ["check_namespaces", "empty_folder", "lock_data", "tls_context"]
