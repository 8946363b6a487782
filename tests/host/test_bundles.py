"""The bundles of a host on its disk."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.host.store.bundle import Bundles, bundle


def test_a_sweep_leaves_what_is_named_and_what_an_upload_may_be_about_to_name(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "bundles")
    named, new, old, again = [bundle("a.py", [("a.py", text)]) for text in (b"1", b"2", b"3", b"4")]
    for kept in (named, new, old, again):
        bundles.keep(kept)
    for kept in (named, old, again):
        os.utime(bundles.path(kept.digest), (0, 0))
    bundles.keep(again)
    bundles.sweep({named.digest})
    left = [kept for kept in (named, new, old, again) if bundles.path(kept.digest).is_dir()]
    assert left == [named, new, again]
