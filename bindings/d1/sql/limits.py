"""How large and how long: https://developers.cloudflare.com/d1/platform/limits/"""

from __future__ import annotations

QUERY_S = 30.0  # one call, all its statements, unless [pilot] d1_query_timeout says otherwise
DATABASE_BYTES = 10 * 1024**3
RESULT_BYTES = 32 * 1024 * 1024  # of one call's rows, as they travel: half of what a frame holds
SPILL_BYTES = 1024**3  # of temporary files that one statement sorts in
QUEUED_CALLS = 1000  # of one database
BUSY_MS = 10_000  # to wait for another program that writes
READERS = 2  # connections of one database that read, beside the one that writes
STEPS = 4000  # of SQLite's virtual machine, between two looks at the clock

LENGTH_BYTES = 2_200_000  # of a text, a blob, a row: 2 MB and some room, as workerd has it
SQL_BYTES = 100_000
COLUMNS = 100
EXPRESSION_DEPTH = 100
COMPOUND_TERMS = 5
VM_INSTRUCTIONS = 25_000
FUNCTION_ARGUMENTS = 127
PATTERN_BYTES = 50  # of LIKE and GLOB
VARIABLES = 100
TRIGGER_DEPTH = 10
