"""``python -m bench.faults``: kills, full disks, slow clients and disks, workers that never end, new code under open
sockets; it fails where anything was lost by them.

An hour or so on two cores; ``--short`` is what ``make test`` runs. The tables of the last long run are in
bench/results/faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import logging
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench.faults.hindrances import full_disk, held_registry, slow_clients
from bench.faults.kept.endless import endless
from bench.faults.kept.fence import fence
from bench.faults.kept.kills import kills as kept_kills
from bench.faults.kept.sockets import at_deploys, at_reloads
from bench.faults.kills import kills
from bench.faults.table import Outcome, markdown

# What each part does, in full and short
_KILLS, _EACH, _SOCKETS, _RELOADS, _DEPLOYS, _ENDLESS = (500, 8), (200, 2), (200, 14), (200, 3), (100, 2), (10, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few of each, for a minute or two")
    parser.add_argument("--kills", type=int, help="in all, under changes; default 500; short 8")
    parser.add_argument("--each", type=int, help="of each kind of process, of workers that keep things; 200; short 2")
    parser.add_argument("--minutes", type=float, default=20, help="begin no fault under changes after these (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    parser.add_argument("--only", choices=("changes", "kept"), help="one half: what is deployed, or what workers keep")
    parser.add_argument("--out", type=Path, help="write the tables into this file too")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each byte to a host that has been killed
    print(f"seed {options.seed}", file=sys.stderr)
    rows = asyncio.run(faults(options))
    table = markdown(rows)
    print(table)
    if options.out is not None:
        options.out.write_text(_head(options.seed) + table)
    for line in (line for row in rows for line in row.wrong):
        print(line, file=sys.stderr)
    sys.exit(not all(row.good for row in rows))


async def faults(options: argparse.Namespace) -> Sequence[Outcome]:
    rows: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        if options.only != "changes":
            rows += await kept(Path(folder, "kept"), options)
        if options.only != "kept":
            rows += await changes(Path(folder, "changes"), options)
    return rows


async def changes(folder: Path, options: argparse.Namespace) -> Sequence[Outcome]:
    """Workers are deployed, given secrets, rolled back and deleted meanwhile."""
    chance, short, until = random.Random(options.seed), options.short, time.monotonic() + 60 * options.minutes
    places = _places(folder, "kills", "clients", "registry", "disk")
    rows = await kills(places[0], options.kills or _KILLS[short], chance, until - 15 * options.minutes)
    rows.append(await slow_clients(places[1], 30 if short else 300, 3 if short else 30, chance))
    rows.append(await held_registry(places[2], 2 if short else 20, chance, until))
    disk = await full_disk(places[3], 3 if short else 60, chance, until)
    return [*rows, *([disk] if disk is not None else [])]


async def kept(folder: Path, options: argparse.Namespace) -> Sequence[Outcome]:
    """Workers write, send, set alarms, go on with workflows and talk over sockets meanwhile."""
    chance, short = random.Random(options.seed), options.short
    places = _places(folder, "kills", "deploys", "reloads", "endless")
    parts = [
        kept_kills(places[0], options.each or _EACH[short], chance),
        fence(options.each or _EACH[short], chance),
        at_deploys(places[1], _SOCKETS[short], _DEPLOYS[short]),
        at_reloads(places[2], _SOCKETS[short], _RELOADS[short]),
        endless(places[3], _ENDLESS[short]),
    ]
    return [row async for row in _each_of(parts)]


async def _each_of(parts: Sequence[AsyncIterator[Outcome]]) -> AsyncIterator[Outcome]:
    """One after the other; each row is said as it comes, for the whole takes long."""
    for part in parts:
        async for row in part:
            print(*row.cells(), sep=" | ", file=sys.stderr)
            yield row


def _places(folder: Path, *names: str) -> list[Path]:
    places = [folder / name for name in names]
    for place in places:
        place.mkdir(parents=True)
    return places


def _head(seed: int) -> str:
    machine = f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"
    return f"# Faults\n\n{datetime.date.today()}. {machine}; `python -m bench.faults --seed {seed}`.\n\n"


if __name__ == "__main__":
    main()
