"""Showing a page in the browser of whoever sits here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


def show(url: str, failed: Callable[[str], None]) -> None:
    """Have it opened; it takes its time in a thread. ``failed``: told, there or here, what to do where nothing opens
    pages."""
    if not _has_screen():
        failed(f"no browser can be opened from here; the page is  {url}")
        return
    threading.Thread(target=_show, args=(url, failed), name="browser", daemon=True).start()


def _has_screen() -> bool:
    """A browser for text would take the terminal that we print to."""
    return sys.platform == "darwin" or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"))
    )


def _show(url: str, failed: Callable[[str], None]) -> None:
    import webbrowser  # looks for programs when it is first used

    try:
        shown = webbrowser.open(url)
    except (OSError, webbrowser.Error):
        shown = False
    if not shown:
        failed(f"no browser was found; BROWSER may name one. The page is  {url}")


__all__ = ["show"]
