"""A host behind a proxy: whom it believes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hosting import Host, hosting, worker

pytestmark = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")
ENTRY = "from workers import Response\ndef fetch(request): return Response(request.url)"
FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "app.localhost", "x-forwarded-for": "203.0.113.9"}


@pytest.mark.parametrize(("trusted", "url", "peer"), [
    ("127.0.0.0/8", "https://app.localhost/", "203.0.113.9"), ("10.0.0.0/8", None, "127.0.0.1"),
    (None, None, "127.0.0.1"),
])  # fmt: skip
async def test_a_proxy_is_believed_where_it_is_trusted(
    tmp_path: Path, trusted: str | None, url: str | None, peer: str
) -> None:
    async with hosting(tmp_path / "data", *(["--trusted-proxy", trusted] if trusted else [])) as host:
        await host.deploy(worker(tmp_path / "app", ENTRY))
        status, text = await host.ask("/", headers=FORWARDED)
        assert (status, text) == (200, url) if url else status == 404
        assert await peer_of_a_call(host) == peer


async def peer_of_a_call(host: Host) -> str:
    """As the audit log has it."""
    await host.api("DELETE", "services/nobody", headers={"x-forwarded-for": FORWARDED["x-forwarded-for"]})
    return (await host.cli("host", "--data", str(host.data), "audit", "--limit", "1")).split()[-1]


async def test_what_is_no_network(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        words = ["host", "--data", str(tmp_path / "other"), "--port", "0", "--trusted-proxy", "proxy"]
        assert "--trusted-proxy" in await host.cli(*words, fails=True)
