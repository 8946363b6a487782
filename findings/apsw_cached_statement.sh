#!/bin/sh
# apsw 3.54.1.0: an authorizer is asked when a statement is prepared, and apsw keeps prepared statements by their text. So a
# program that allows its own SQL and refuses the same SQL of others hands the others what it has prepared for itself: the
# second "SAVEPOINT a" below runs, although the authorizer refuses it by then. With can_cache=False it is refused.
# Seen: "cached: ran, uncached: AuthError". Exits non-zero once that is not so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q apsw==3.54.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import apsw

print("apsw", apsw.apsw_version(), "SQLite", apsw.sqlite_lib_version())


def tried(**how: bool) -> str:
    ours = True
    connection = apsw.Connection(":memory:")
    connection.authorizer = lambda *_: apsw.SQLITE_OK if ours else apsw.SQLITE_DENY
    connection.execute("SAVEPOINT a", **how)
    ours = False
    try:
        connection.execute("SAVEPOINT a")
    except apsw.AuthError:
        return "AuthError"
    return "ran"


found = f"cached: {tried()}, uncached: {tried(can_cache=False)}"
print(found)
sys.exit(found != "cached: ran, uncached: AuthError")
PYTHON
