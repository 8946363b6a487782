"""What Cloudflare's tools know, as ``.ci/upstream.py`` has written it down."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec


class Upstream(msgspec.Struct, frozen=True):
    """``keys``: of Wrangler's configuration → those of each one's table; ``compiled``: packages with compiled parts
    that Pyodide has → version; ``workers``: what its SDK's module of that name exports."""

    wrangler: str
    keys: dict[str, list[str]]
    pyodide: str
    compiled: dict[str, str]
    sdk: str
    workers: list[str]


@cache
def upstream() -> Upstream:
    return msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes(), type=Upstream)


__all__ = ["Upstream", "upstream"]
