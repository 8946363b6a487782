"""What the cases share: a note of what runs, a wait for a file, a config."""

import asyncio
import os

from workers import env

FAST = {"retries": {"limit": 2, "delay": 1, "backoff": "constant"}}
NEVER = {"retries": {"limit": 0, "delay": 0}}
ran = []  # what this process has run


def note(what):
    ran.append(what)
    with open(f"{env.NOTES}/ran.txt", "a") as file:
        file.write(f"{what}\n")


async def caught(work):
    """(type, text) of what it raises."""
    try:
        return ["nothing", await work]
    except Exception as error:
        return [type(error).__name__, str(error)]


async def until(what, id):
    """Until a file of that name is there."""
    while not os.path.exists(f"{env.NOTES}/{what}-{id}"):
        await asyncio.sleep(0.01)
