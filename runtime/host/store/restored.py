"""The last step of a restore, which a crash may cut anywhere and the next start completes.

What is restored lies whole in one folder within the data folder, so that it is on the same disk, a mount point or not.
Giving that folder its final name is the moment from which the restore has happened; what follows can be done again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.places import sync_folder

STAGED, WHOLE = ".restoring", ".restored"  # its name before that moment, and after
REPLACED = ("host.db", "host.db-wal", "host.db-shm", "bundles", "state", "host.toml", "models.yaml", "token")
_CLEARED = ".cleared"


def finish(data: Path) -> bool:
    """Put in place what a restore has left; the caller holds the folder's lock. Whether there was anything."""
    whole = data / WHOLE
    if not whole.is_dir():
        return False
    if not (whole / _CLEARED).exists():  # else some of what it would remove is new already
        for name in REPLACED:
            remove(data / name)
        sync_folder(data)
        (whole / _CLEARED).touch()
        sync_folder(whole)
    for entry in sorted(whole.iterdir()):
        if entry.name != _CLEARED:
            entry.replace(data / entry.name)
    sync_folder(data)
    shutil.rmtree(whole)
    return True


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


__all__ = ["REPLACED", "STAGED", "WHOLE", "finish", "remove"]
