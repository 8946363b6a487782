"""Everything that can go wrong, drawn.

PilotError
├── UserError          the person's to mend: shown without our traceback, with where, what and remedy
│   ├── ConfigError    wrangler.toml, .dev.vars, models.yaml, a command-line flag
│   ├── ScriptError    the worker's code: does not import, has no entry, returned something unservable
│   └── RequestError   what a client sent: carries an HTTP status
└── Fault              ours: a traceback in the log, a request id for the client
"""

from __future__ import annotations


class PilotError(Exception):
    """Root of every error this project raises on purpose."""


class UserError(PilotError):
    """A mistake its reader can mend.

    ``where`` names the file and key (``wrangler.toml: [[kv_namespaces]] #2``), ``what`` says what is
    wrong in one sentence, ``remedy`` what to type.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        if not self.remedy:
            return head
        return head + "\n" + "\n".join("  " + line for line in self.remedy.splitlines())


class ConfigError(UserError):
    """A configuration file, flag or environment variable that cannot be used."""


class ScriptError(UserError):
    """A worker that cannot be loaded, or that answered with something that cannot be served.

    ``trace`` is the script's own traceback, without this project's frames.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "", trace: str = "") -> None:
        self.trace = trace
        super().__init__(what, where=where, remedy=remedy)


class RequestError(UserError):
    """A request that is refused, with the HTTP ``status`` that says why."""

    def __init__(self, status: int, what: str, *, where: str = "", remedy: str = "") -> None:
        self.status = status
        super().__init__(what, where=where, remedy=remedy)


class Fault(PilotError):
    """Our own failure: logged with its traceback, answered with a request id."""
