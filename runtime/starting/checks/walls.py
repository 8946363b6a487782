"""What ``pilot host`` sandboxes workers with, and ``pilot dev`` does without."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from runtime.isolate.sandbox import landlock, namespaces, seccomp
from runtime.starting.checks.finding import Finding

_KERNEL = "Boot with lsm=landlock,... (Linux 5.13 or newer)"
_USERS = "sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns; or do without --namespaces"


def walls() -> Iterator[Finding]:
    if sys.platform != "linux":
        yield Finding("sandbox", "note", f"none on {sys.platform}: pilot host is for Linux")
        return
    level = landlock.level()
    if level:
        yield Finding("Landlock", "ok", f"level {level}")
    else:
        yield Finding("Landlock", "missing", landlock.missing(), _KERNEL)
    missing = seccomp.missing()
    yield Finding("seccomp", "missing" if missing else "ok", missing or "available", _KERNEL if missing else "")
    yield _namespaces()


def _namespaces() -> Finding:
    """Only ``pilot host --namespaces`` wants them."""
    if missing := namespaces.missing():
        return Finding("namespaces", "note", f"not for pilot host --namespaces: {missing}", _USERS)
    return Finding("namespaces", "ok", "available to pilot host --namespaces")


__all__ = ["walls"]
