"""What deployments are made of, besides their configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from runtime.supervisor.calls.reach import NOWHERE, Reach
from runtime.supervisor.debugging.debugger import Debugger
from runtime.supervisor.limits import Limits
from runtime.supervisor.outbound import Outbound
from runtime.supervisor.processes.cgroups import Cgroups
from runtime.supervisor.processes.sockets import SocketTables
from runtime.supervisor.processes.spawning import Spawner

Stream = Literal["stdout", "stderr"]


class Confinement(msgspec.Struct, frozen=True):
    """What a host shuts an isolate into."""

    temp: Path  # folder of the isolates' private temporary folders
    cgroups: Cgroups | None = None  # None: there are none for us here
    namespaces: bool = False


class Parts(msgspec.Struct, frozen=True):
    """What every deployment is made of, besides its configuration."""

    spawner: Spawner
    outbound: Outbound
    on_output: Callable[[str, Stream, str], None]  # worker, stream, line
    on_slow_import: Callable[[str, str, float, str], None]  # worker, script, seconds, what it imports
    on_excess: Callable[[str, str], None]  # worker, why its process was ended
    sockets: SocketTables
    isolates: int = 1  # processes per version
    confinement: Confinement | None = None  # none in dev: it is the person's own code on their own machine
    limits: Limits | None = None  # none in dev
    reach: Reach = NOWHERE  # the other workers
    lasting: Reach = NOWHERE  # what of them lives on between calls
    through: str = ""  # the binding that is asked in the place of the network
    debugger: Debugger | None = None  # in dev


__all__ = ["Confinement", "Parts", "Stream"]
