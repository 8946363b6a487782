"""Bodies of requests: JSON that a worker reads and answers with, and uploads that it hands on unread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bench import bindings, keeping, load, servers
from bench.measures import Length, Numbers, per
from bench.running import Running, Server

_UPLOAD_BYTES = 1000 * 1000 * 1000
_LIMIT = '\n[pilot]\nbody_limit = "2GB"\n'
_PEOPLE = 1110  # of 90 bytes each


def _allowing(server: Server) -> Server:
    """Bodies of that size."""

    def prepare(folder: Path, port: int, target: str) -> None:
        assert server.prepare is not None
        server.prepare(folder, port, target)
        config = folder / "wrangler.toml"
        config.write_text(config.read_text() + _LIMIT)

    return replace(server, prepare=prepare)


POSTED = (servers.OURS, servers.WORKERD, servers.MINIFLARE)
UPLOADED = (_allowing(servers.OURS), servers.WORKERD, servers.MINIFLARE)
KEPT = (_allowing(keeping.R2), bindings.MINIFLARE)


def posted(server: Server, running: Running, length: Length) -> Numbers:
    """100 KB, parsed and written anew."""
    people = [
        {"id": number, "name": f"Person {number:06}", "mail": f"person{number:06}@example.com", "score": number / 8}
        for number in range(_PEOPLE)
    ]
    body = running.folder / "people.json"
    body.write_text(json.dumps(people))
    many = load.hello(running.port, 16, length.seconds, running.cpu, "/json", f"@{body}")
    one = load.hello(running.port, 1, length.seconds / 2, running.cpu, "/json", f"@{body}")
    return {
        "CPU/request µs": per(many, "requests"),
        "req/s": many["requests"] / many["elapsed_us"] * 1e6,
        "p50 at 1 µs": one["p50"],
        "load busy %": 100 * many["load_busy"],
    }


def uploaded(server: Server, running: Running, length: Length) -> Numbers:
    """1 GB after 1 GB on one connection, to another server."""
    with load.other_side("sink") as address:
        return _uploaded(running, length, f"/upload?to={address}")


def kept(server: Server, running: Running, length: Length) -> Numbers:
    return _uploaded(running, length, "/r2/upload")


def _uploaded(running: Running, length: Length, path: str) -> Numbers:
    result = load.upload(running.port, 1, 2 * length.seconds, running.cpu, path, _UPLOAD_BYTES)
    return {
        "MB/s": result["sent"] / result["elapsed_us"],
        "CPU/MB µs": result["server_s"] * 1e12 / result["sent"],
        "load busy %": 100 * result["load_busy"],
    }


__all__ = ["KEPT", "POSTED", "UPLOADED", "kept", "posted", "uploaded"]
