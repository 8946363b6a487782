"""How much and how long: https://developers.cloudflare.com/d1/platform/limits/"""

from __future__ import annotations

QUERY_S = 30.0  # one call, all its statements, unless [pilot] d1_query_timeout says otherwise
RESULT_BYTES = 32 * 1024 * 1024  # of one call's rows, as they travel: half of what a frame holds
SPILL_BYTES = 1024**3  # of temporary files that one statement sorts in
QUEUED_CALLS = 1000  # of one database
BUSY_MS = 10_000  # to wait for another program that writes
READERS = 2  # connections of one database that read, beside the one that writes
STEPS = 4000  # of SQLite's virtual machine, between two looks at the clock
