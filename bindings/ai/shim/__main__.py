"""``python -m bindings.ai.shim [URL]``: writes the shim to ``.wrangler/pilotlight-ai/`` and prints its configuration.

``URL`` is where Pilotlight answers. The token in ``PILOT_API_TOKEN``, if there is one, goes into a file that only
its owner can read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

FOLDER = Path(".wrangler/pilotlight-ai")  # beside Wrangler's own state, which nobody commits
ADDRESS = "http://127.0.0.1:8787"
# Errors keep their names and signals arrive, although the shim is another worker; the dev configuration has both too.
FLAGS = ["enhanced_error_serialization", "enable_abortsignal_rpc"]


def write(folder: Path, url: str, token: str | None) -> Path:
    """The shim in ``folder``; returns its configuration's path."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = Path(__file__).with_name("ai.js").read_text("utf-8")
    (folder / "ai.js").write_text(worker, "utf-8")
    settings = {
        "name": "pilotlight-ai",
        "main": "ai.js",
        "compatibility_date": "2026-01-01",
        "compatibility_flags": FLAGS,
        "vars": {"PILOT_URL": url.rstrip("/")},
    }
    (folder / "wrangler.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    _keep(folder / ".dev.vars", f"PILOT_API_TOKEN={json.dumps(token)}\n" if token else "")
    return folder / "wrangler.json"


def _keep(file: Path, secret: str) -> None:
    file.unlink(missing_ok=True)
    if secret:
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
            out.write(secret)


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else ADDRESS
    print(write(FOLDER, address, os.environ.get("PILOT_API_TOKEN")))
