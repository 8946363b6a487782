"""What a shut-in process can still do, and what it cannot: tried in a process of its own, on this kernel."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.isolate import sandbox
from runtime.isolate.sandbox import seccomp, syscalls

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

TRIES = """
import asyncio, ctypes, json, os, signal, socket, ssl, subprocess, sys, threading, zoneinfo
import uvloop
from runtime.isolate import sandbox

own, temp, other, outer = sys.argv[1:]
os.environ["A_SECRET"] = "x"

async def waits():
    await asyncio.sleep(0.001)
    return await asyncio.to_thread(sum, [1, 2])

def forks():
    pid = os.fork()
    return os._exit(0) if pid == 0 else os.waitpid(pid, 0)[1]

def call(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), "")

def arrays():
    import numpy
    numpy.save(temp + "/a.npy", numpy.ones((300, 300)) @ numpy.ones((300, 300)))
    return numpy.load(temp + "/a.npy", mmap_mode="r")[0, 0]

def threads():
    thread = threading.Thread(target=lambda: None); thread.start(); thread.join()

tries = {
    "read own": lambda: open(own + "/data.txt").read(), "list own": lambda: os.listdir(own),
    "write temp": lambda: open(temp + "/x", "w").write("x"), "truncate temp": lambda: open(temp + "/x", "w").close(),
    "remove temp": lambda: os.remove(temp + "/x"), "null": lambda: open("/dev/null", "w").write("x"),
    "random": lambda: open("/dev/urandom", "rb").read(4), "thread": threads, "fork": forks,
    "arrays": arrays, "loop": lambda: asyncio.run(waits()), "uvloop": lambda: uvloop.run(waits()),
    "pair": socket.socketpair,
    "import": lambda: __import__("sqlite3"), "zone": lambda: zoneinfo.ZoneInfo("UTC"),
    "tls": ssl.create_default_context, "signal self": lambda: os.kill(os.getpid(), 0),
    "write own": lambda: open(own + "/data.txt", "w"), "read other": lambda: open(other).read(),
    "read passwd": lambda: open("/etc/passwd").read(), "list root": lambda: os.listdir("/"),
    "link out": lambda: (os.symlink(other, temp + "/link"), open(temp + "/link").read()),
    "hard link": lambda: os.link(other, temp + "/hard"),
    "parent's environment": lambda: open(f"/proc/{outer}/environ").read(),
    "run": lambda: subprocess.run(["/bin/true"]), "exec": lambda: os.execv(sys.executable, ["python"]),
    "tcp": lambda: socket.create_connection(("127.0.0.1", 9)), "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "unix": lambda: socket.socket(socket.AF_UNIX).connect("/run/x"),
    "listen": lambda: socket.socket(socket.AF_UNIX).bind(temp + "/s"),
    "signal": lambda: os.kill(int(outer), 0), "signal all": lambda: os.kill(-1, 0),
    "pidfd": lambda: signal.pidfd_send_signal(os.pidfd_open(int(outer)), 0),
    "ptrace": lambda: call(101 if os.uname().machine == "x86_64" else 117, 16, int(outer), 0, 0),
    "io_uring": lambda: call(425, 1, 0), "bpf": lambda: call(321 if os.uname().machine == "x86_64" else 280, 0, 0, 0),
    "namespace": lambda: call(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
    "mount": lambda: ctypes.CDLL(None).mount and call(165 if os.uname().machine == "x86_64" else 40, 0, 0, 0, 0, 0),
    "memory": lambda: bytearray(1 << 30), "large file": lambda: open(temp + "/big", "wb").write(bytes(3 << 20)),
    "many files": lambda: [os.dup(0) for _ in range(200)],
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
missing = sandbox.enter(sandbox.Rules(read=[own], temp=temp, memory=512 << 20, file_size=1 << 20, open_files=100))
outcomes = {}
for name, attempt in tries.items():
    try:
        attempt()
        outcomes[name] = "done"
    except BaseException as error:
        outcomes[name] = type(error).__name__
print(json.dumps([missing, outcomes]))
"""

REFUSED = {
    "PermissionError": [
        "write own", "read other", "read passwd", "list root", "link out", "parent's environment", "run", "exec", "tcp",
        "udp", "netlink", "unix", "listen", "signal", "signal all", "pidfd", "ptrace", "io_uring", "bpf", "namespace",
        "mount", "fork",
    ],
    "MemoryError": ["memory"],
    "OSError": ["large file", "many files"],
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if missing := sandbox.available():
        pytest.skip("; ".join(missing))
    folder = tmp_path_factory.mktemp("sandbox")
    own, temp = folder / "own", folder / "temp"
    own.mkdir()
    temp.mkdir()
    (own / "data.txt").write_text("data")
    (folder / "other.txt").write_text("another's")
    outer = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    arguments = [str(own), str(temp), str(folder / "other.txt"), str(outer.pid)]
    done = subprocess.run([sys.executable, "-c", TRIES, *arguments], capture_output=True, text=True, cwd=Path.cwd())
    outer.communicate()
    assert done.returncode == 0, done.stderr
    missing, found = json.loads(done.stdout)
    assert missing == []
    return dict(found)


def test_what_is_refused(outcomes: dict[str, str]) -> None:
    wanted = {name: error for error, names in REFUSED.items() for name in names}
    assert {name: outcomes[name] for name in wanted} == wanted


def test_hard_links_out_are_refused(outcomes: dict[str, str]) -> None:
    assert outcomes["hard link"] in ("OSError", "PermissionError")  # EXDEV where Landlock knows of links


@pytest.mark.parametrize(("headers", "column"), [
    ("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1),
])  # fmt: skip
def test_numbers_are_those_of_linux(headers: str, column: int) -> None:
    """As far as this machine's headers go: newer calls have one number everywhere, and stand in none of them yet."""
    file = Path("/usr/include", headers)
    if not file.exists():
        pytest.skip(f"no {file}")
    known = {name: int(number) for name, number in re.findall(r"define __NR(?:3264)?_(\w+)\s+(\d+)", file.read_text())}
    rows = {name: numbers for group in syscalls.REFUSED.values() for name, numbers in group.items()}
    rows |= syscalls.UNSUPPORTED
    rows |= {name: row[0] for table in (syscalls.ALLOWED_WITH, syscalls.REFUSED_WITH) for name, row in table.items()}
    rows |= {"truncate": syscalls.TRUNCATE, "clone": syscalls.CLONE, "clone3": syscalls.CLONE3}
    found = {name: numbers[column] for name, numbers in rows.items()}
    newest = max(known.values())
    assert {name: known.get(name) for name in rows if name in known} == {
        name: found[name] for name in rows if name in known
    }
    assert [name for name in rows if name not in known and (found[name] or newest) < newest] == []


@pytest.mark.parametrize("machine", [(0xC000003E, 0), (0xC00000B7, 1)])
def test_a_program_of_either_machine_ends_in_reach(machine: tuple[int, int]) -> None:
    code = [struct.unpack("=HBBI", step) for step in seccomp.program(*machine, 4711)]
    assert len(code) < 4096  # BPF_MAXINSNS
    assert all(at + 1 + max(yes, no) < len(code) for at, (kind, yes, no, _) in enumerate(code) if kind & 7 == 5)
    assert code[-1] == (0x06, 0, 0, 0x7FFF0000)


def test_the_rest_works(outcomes: dict[str, str]) -> None:
    refused = {"hard link", *(name for names in REFUSED.values() for name in names)}
    assert {name: how for name, how in outcomes.items() if name not in refused and how != "done"} == {}
