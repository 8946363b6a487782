"""What the system lets a process have."""

from __future__ import annotations

import sys


def allow_open_files() -> None:
    """As many as the system grants: each connection is one, and the usual 1,024 are soon used up."""
    if sys.platform == "win32":
        return
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):  # macOS grants "unlimited", and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, min(most, 10_240)), most))
