"""A client of many WebSockets.

    python socket_load.py echo|broadcast PORT PATH SOCKETS WARM_S SECONDS
    python socket_load.py idle PORT PATH SOCKETS

``echo``: each socket has one message under way. ``broadcast``: one sends, and again once all have it. ``idle``: they
stay open until a line comes in. Frames are made once and counted by their bytes: it costs little beside a server.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

_TEXT = b"x" * 100
_MESSAGE = bytes((0x81, 0x80 | len(_TEXT), 0, 0, 0, 0)) + _TEXT  # masked with zeros
_ANSWER_BYTES = 2 + len(_TEXT)
_ASK = (
    "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
)
_TOGETHER = 50  # that are opened at a time


def opened(port: int, path: str, count: int) -> list[socket.socket]:
    found: list[socket.socket] = []
    while len(found) < count:
        new = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(min(_TOGETHER, count - len(found)))]
        for sock in new:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(_ASK.format(path=path).encode())
        for sock in new:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (more := sock.recv(4096)):
                    raise SystemExit(f"no socket: {head!r}")
                head += more
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"no socket: {head!r}")
        found += new
    return found


class Echo:
    """One message under way on each."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._by_number = {sock.fileno(): sock for sock in sockets}
        self._left, self._sent = dict.fromkeys(self._by_number, 0), dict.fromkeys(self._by_number, 0.0)
        self._poll = select.epoll()
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)
            self._send(number)

    def run(self, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for number, _ in self._poll.poll(0.1):
                if not (came := self._by_number[number].recv(65536)):
                    raise SystemExit("a socket was closed")
                self._left[number] -= len(came)
                if not self._left[number]:
                    times.append(time.perf_counter() - self._sent[number])
                    self._send(number)
        return times

    def _send(self, number: int) -> None:
        self._left[number] = _ANSWER_BYTES
        self._sent[number] = time.perf_counter()
        self._by_number[number].send(_MESSAGE)


class Broadcast:
    """One message under way to all."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._by_number = {sock.fileno(): sock for sock in sockets}
        self._poll, self._sender = select.epoll(), sockets[0]
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)

    def run(self, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            self._sender.send(_MESSAGE)
            left = len(self._by_number) * _ANSWER_BYTES
            while left:
                if not (ready := self._poll.poll(20)):
                    raise SystemExit(f"{left // _ANSWER_BYTES} of {len(self._by_number)} sockets have heard nothing")
                for number, _ in ready:
                    if not (came := self._by_number[number].recv(65536)):
                        raise SystemExit("a socket was closed")
                    left -= len(came)
            times.append(time.perf_counter() - began)
        return times


def main() -> None:
    mode, port, path, count, *rest = sys.argv[1:]
    sockets = opened(int(port), path, int(count))
    if mode == "idle":
        print("open", flush=True)
        sys.stdin.readline()
        return
    load = {"echo": Echo, "broadcast": Broadcast}[mode](sockets)
    load.run(float(rest[0]))
    print("begin", flush=True)
    began, busy = time.perf_counter(), time.process_time()
    times = sorted(load.run(float(rest[1])))
    numbers = {
        "requests": len(times), "refused": 0, "elapsed_us": (time.perf_counter() - began) * 1e6,
        "cpu_us": (time.process_time() - busy) * 1e6,
        "p50": times[len(times) // 2] * 1e6, "p99": times[len(times) * 99 // 100] * 1e6,
    }  # fmt: skip
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
