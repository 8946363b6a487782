"""``[assets]``: what may stand there, and what it means.

Facts: docs/reference/bindings.md#static-assets.
"""

from __future__ import annotations

import re

import msgspec

MAX_FILE_BYTES = 25 * 1024 * 1024  # of one asset
MAX_FILES = 20_000  # of one worker
HTML_HANDLING = ("auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none")
NOT_FOUND_HANDLING = ("none", "404-page", "single-page-application")
META_FILES = ("_headers", "_redirects", ".assetsignore")  # at the top of the directory; never served

_NO_PATH = re.compile(r"//|[A-Za-z][A-Za-z0-9+.-]*:|.*[\\?#%\x00-\x1f\x7f]", re.DOTALL)


class AssetsTable(msgspec.Struct, frozen=True):
    """``[assets]`` of a configuration."""

    directory: str | None = None
    binding: str | None = None
    html_handling: str = HTML_HANDLING[0]
    not_found_handling: str = NOT_FOUND_HANDLING[0]
    run_worker_first: bool | list[str] = False
    base_path: str = "/"


class DeployedAssets(AssetsTable, frozen=True):
    """The same of an upload, with what was beside it in the directory."""

    manifest: str = ""  # the digest of the list of its files
    headers: str = ""  # the text of ``_headers``
    redirects: str = ""  # and of ``_redirects``


def base_of(path: str) -> str | None:
    """``base_path`` as it is compared, ``/`` or ``/app/``; None: it cannot be one."""
    if not path or _NO_PATH.match(path):
        return None
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return f"/{'/'.join(kept)}/" if kept else "/"


__all__ = ["HTML_HANDLING", "MAX_FILES", "MAX_FILE_BYTES", "META_FILES", "NOT_FOUND_HANDLING", "AssetsTable",
           "DeployedAssets", "base_of"]  # fmt: skip
