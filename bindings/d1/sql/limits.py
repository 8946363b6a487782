"""How much and how long: https://developers.cloudflare.com/d1/platform/limits/"""

from __future__ import annotations

QUERY_S = 30.0  # one call, all its statements, unless [pilot] d1_query_timeout says otherwise
RESULT_BYTES = 32 * 1024 * 1024  # of one call's rows, as they travel: half of what a frame holds
SPILL_BYTES = 1024**3  # of temporary files that one statement sorts in
QUEUED_CALLS = 1000  # of one database
BUSY_MS = 10_000  # to wait for another program that writes
READERS = 2  # connections of one database that read, beside the one that writes
QUICK_S = 0.001  # seconds of the supervisor's loop that a read may take, before it is done again in a thread
QUICK_LENGTH_BYTES = 64 * 1024  # of a text, a blob, a row that such a read may meet
QUICK_SQL_CHARS = 2000
STEPS = 4000  # of SQLite's virtual machine, between two looks at the clock
