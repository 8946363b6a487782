"""``python -m runtime.supervisor.debugging.root PORT``: the debugged process that does nothing.

It starts debugpy's adapter on PORT of this machine. Its lines on standard output are JSON: ``{"error": …}``; or
``{"server": PORT}``, where isolates connect, and then ``{"attached": BOOLEAN}`` whenever that changes. It ends with its
standard input.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LOOK_INTERVAL_S = 0.1  # seconds between looks whether an editor is attached
_ADAPTER_TIMEOUT_S = 30.0


def main(port: int) -> None:
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # it warns of frozen modules, which are none of the worker's
    import debugpy  # type: ignore[import-untyped,unused-ignore]

    endpoints = _adapter(port)
    if "error" in endpoints:
        return _say(error=endpoints["error"])
    server = endpoints["server"]
    connect = threading.Thread(target=debugpy.connect, args=[(server["host"], server["port"])], daemon=True)
    connect.start()  # it waits for an editor
    _say(server=server["port"])
    attached = False
    while not select.select([sys.stdin], [], [], _LOOK_INTERVAL_S)[0]:
        if (now := debugpy.is_client_connected()) != attached:
            attached = now
            _say(attached=attached)
    with suppress(OSError):  # the adapter ends with its last process; of one that came too late it would wait for ever
        socket.create_connection((server["host"], server["port"]), timeout=1).close()
    os._exit(0)


def _adapter(port: int) -> dict[str, Any]:
    """Where it listens, as it tells whoever starts it for a process that exists; ``debugpy.listen`` does the same."""
    with socket.create_server(("127.0.0.1", 0)) as told:
        told.settimeout(_ADAPTER_TIMEOUT_S)
        found = find_spec("debugpy.adapter")
        assert found is not None
        assert found.origin is not None
        command = [sys.executable, str(Path(found.origin).parent), "--for-server", str(told.getsockname()[1])]
        null = subprocess.DEVNULL  # it outlives us for a moment
        subprocess.run(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            check=False,
            timeout=_ADAPTER_TIMEOUT_S,
            stdin=null,
            stdout=null,
            stderr=null,
        )
        connection, _ = told.accept()
        with connection, connection.makefile("rb") as file:
            endpoints: dict[str, Any] = json.load(file)
            return endpoints


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
