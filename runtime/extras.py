"""What to type for a package that this installation lacks."""

from __future__ import annotations

import json
import sys
from urllib.parse import unquote, urlsplit


def install(extra: str) -> str:
    """The command that adds an extra of ours: to the clone where this is one, for then nothing need be published."""
    return f"{sys.executable} -m pip install {_here(extra)}"


def _here(extra: str) -> str:
    from importlib import metadata  # with its readers of mails and archives

    try:
        origin = json.loads(metadata.distribution("pilotlight").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    url, folder = origin.get("url", ""), origin.get("dir_info")
    if folder is None:
        return f"'pilotlight[{extra}]{f' @ {url}' if url else ''}'"
    return f"{'-e ' if folder.get('editable') else ''}'{unquote(urlsplit(url).path)}[{extra}]'"


__all__ = ["install"]
