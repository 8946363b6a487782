"""Which hostnames lead to the host's own routes, and which to a worker. No worker gets one of the host's: who had it
would be sent everybody's tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runtime.errors import UserError
from runtime.supervisor.http.admission import OwnNames

_REMEDY = "If the name is this host's:  pilot host --hostname {name}"
_HOSTNAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,62}")  # no address
_OWN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")


class Hostnames(OwnNames):
    """The host's: the machine's, ``domain`` itself, and those that are ``configured``. A worker NAME has
    ``NAME.domain``. Raises UserError for what is no hostname."""

    def __init__(self, domain: str, configured: Iterable[str]) -> None:
        own = frozenset(name.lower() for name in (domain, *configured))
        if wrong := [name for name in own if not _OWN.fullmatch(name)]:
            remedy = "Write it without scheme and port:  --hostname gpu.example.com"
            raise UserError(f"{wrong[0]!r} is not a hostname", where="--hostname", remedy=remedy)
        super().__init__(lambda: own, _REMEDY)
        self._suffix = f".{domain.lower()}"
        self._own = self.machine | own

    def has(self, name: str) -> bool:
        return name in self._own  # asked for each request

    def of_worker(self, name: str) -> str:
        """Where the worker answers."""
        return name + self._suffix

    def worker(self, hostname: str) -> str | None:
        """Whose it is by the rule above; None: nobody's."""
        return hostname.removesuffix(self._suffix) if hostname.endswith(self._suffix) else None

    def may_be_a_workers(self, hostname: str) -> bool:
        return bool(_HOSTNAME.fullmatch(hostname)) and not self.has(hostname)


__all__ = ["Hostnames"]
