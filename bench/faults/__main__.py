"""``python -m bench.faults``: kills, full disks, slow clients and disks; it fails where anything was lost by them.

About a quarter of an hour; ``--short`` is what ``make test`` runs. The table of the last long run is in docs/deploy.md.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from bench.faults.hindrances import full_disk, held_registry, slow_clients
from bench.faults.kills import kills
from bench.faults.table import Row, markdown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few of each, for a minute")
    parser.add_argument("--kills", type=int, help="default 500; short 8")
    parser.add_argument("--minutes", type=float, default=20, help="begin no fault that would come after these (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    parser.add_argument("--out", type=Path, help="write the table into this file too")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each byte to a host that has been killed
    print(f"seed {options.seed}", file=sys.stderr)
    rows = asyncio.run(faults(options))
    table = markdown(rows)
    print(table)
    if options.out is not None:
        options.out.write_text(table)
    for line in (line for row in rows for line in row.wrong):
        print(line, file=sys.stderr)
    sys.exit(not all(row.good for row in rows))


async def faults(options: argparse.Namespace) -> list[Row]:
    chance, short, until = random.Random(options.seed), options.short, time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        places = [Path(folder, name) for name in ("kills", "clients", "registry", "disk")]
        for place in places:
            place.mkdir()
        rows = await kills(places[0], options.kills or (8 if short else 500), chance, until - 15 * options.minutes)
        rows.append(await slow_clients(places[1], 30 if short else 300, 3 if short else 30, chance))
        rows.append(await held_registry(places[2], 2 if short else 20, chance, until))
        disk = await full_disk(places[3], 3 if short else 60, chance, until)
    return [*rows, *([disk] if disk is not None else [])]


if __name__ == "__main__":
    main()
