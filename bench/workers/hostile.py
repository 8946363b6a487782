"""A worker that attacks the supervisor it is connected to, each path in a way; for ``bench.hostile`` and the tests."""

import asyncio
import contextlib
import os
import select
import socket
import stat
import time
from urllib.parse import urlsplit

from workers import Response

CALL, RESULT, ERROR, CANCEL, NOTE, PULL, ITEM, END, DROP, ASK = range(10)
COUNT = 100_000


def encode(value):
    """msgpack, of what frames are made of."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return b"\xd3" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        return b"\xdb" + len(value).to_bytes(4, "big") + value.encode()
    if isinstance(value, list):
        return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(map(encode, value))
    pairs = [encode(part) for pair in value.items() for part in pair]
    return b"\xdf" + len(value).to_bytes(4, "big") + b"".join(pairs)


def channel():
    """The descriptor that leads to the supervisor, found among this process's."""
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                with socket.socket(fileno=os.dup(fd)) as sock:
                    ours = sock.family == socket.AF_UNIX and sock.type == socket.SOCK_STREAM
                    if ours and sock.getpeername() == "":  # the line of sockets is one of whole messages
                        return fd
        except OSError:
            pass
    raise LookupError("no channel")


def stacks():
    """The descriptor of the pipe on which this process's stacks are told."""
    pipes = (fd for fd in range(3, 64) if stat.S_ISFIFO(_mode(fd)))
    return next(fd for fd in pipes if os.get_blocking(fd))


def _mode(fd):
    try:
        return os.fstat(fd).st_mode
    except OSError:
        return 0


def write(fd, data):
    view = memoryview(data)
    while view:
        select.select([], [fd], [])
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(fd, view[:1_000_000]) :]


def message(frames):
    """Frames, each encoded, as one message."""
    body = b"\xdd" + len(frames).to_bytes(4, "big") + b"".join(frames)
    return len(body).to_bytes(4, "little") + body


def call(number, args):
    """The frame of a call whose arguments are these bytes of msgpack."""
    return b"\x94\x00" + encode(number) + encode("nothing") + args


def listed(count, item):
    return b"\xdd" + count.to_bytes(4, "big") + item * count


def attack(name):
    fd = channel()
    if name == "junk":
        write(fd, os.urandom(1_000_000))
    elif name == "huge":
        write(fd, b"\xff\xff\xff\x7f" + bytes(1_000_000))
    elif name == "claim":
        write(fd, message([call(1 << 40, b"\xdd\xff\xff\xff\xff")]))
    elif name == "deep":
        write(fd, message([call(1 << 40, b"\x91" * COUNT + b"\x90")]))
    elif name == "map":
        pairs = b"".join(encode(str(number)) + b"\xc0" for number in range(1_000_000))
        write(fd, message([call(1 << 40, b"\x91\xdf" + (1_000_000).to_bytes(4, "big") + pairs)]))
    elif name == "lists":  # within the bounds of one message, again and again
        for number in range(20):
            write(fd, message([call((1 << 40) + number, listed(900_000, b"\x90"))]))
    elif name == "bytes":
        body = b"\x91\xc6" + (32 << 20).to_bytes(4, "big") + bytes(32 << 20)
        for number in range(8):
            write(fd, message([call((1 << 40) + number, body)]))
    elif name == "calls":
        for first in range(0, COUNT, 1000):
            write(fd, message([call((1 << 40) + first + number, b"\x90") for number in range(1000)]))
    elif name == "tiny":
        write(fd, b"".join(message([call((1 << 40) + number, b"\x90")]) for number in range(COUNT)))
    elif name == "streams":
        for first in range(0, COUNT, 1000):
            write(fd, message([encode([ASK, -(1 << 40) - first - number, "x", [], 1]) for number in range(1000)]))
    elif name == "answers":
        write(fd, message([encode([RESULT, 1, None])] * COUNT))
    elif name == "pulls":
        write(fd, message([encode([PULL, 1, 1])] * COUNT))
    elif name == "cancels":
        write(fd, message([encode([CANCEL, 1])] * COUNT))
    elif name == "notes":
        write(fd, message([encode([NOTE, 0, "x", []])] * COUNT))
    elif name == "error":
        write(fd, message([encode([ERROR, 1, "x" * 9_000_000, "y" * 9_000_000, {"trace": "z" * 9_000_000}])]))
    elif name == "stacks":
        pipe, lines = stacks(), b'  File "/dev/zero", line 1 in x\n' * 2000
        for _ in range(200):
            write(pipe, lines)
    else:
        raise LookupError(name)


async def fetch(request, env, ctx):
    name = urlsplit(request.url).path.strip("/")
    if not name:
        return Response("fine")
    if name == "print":
        await asyncio.to_thread(lambda: [print("x" * (number % 3)) for number in range(COUNT)])
    elif name == "line":
        await asyncio.to_thread(print, "x" * 50_000_000)
    elif name == "headers":
        return Response("x", headers=[(f"x-{number}", "y") for number in range(COUNT)])
    elif name == "raise":
        raise ValueError("x" * 20_000_000)
    elif name == "ai":  # through the front door, all at once
        asks = (env.AI.models({"search": "x" * 1000}) for _ in range(5000))
        await asyncio.gather(*asks, return_exceptions=True)
    elif name == "unread":
        fd = channel()
        args = encode([0, "AI", "models", [{}]])
        for number in range(20_000):
            write(fd, message([b"\x94\x00" + encode((1 << 40) + number) + encode("binding") + args]))
        time.sleep(600)
    else:
        attack(name)  # in the loop's own thread, whose frames would come in between
        await asyncio.sleep(0.5)
    return Response("survived")
