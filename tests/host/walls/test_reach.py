"""What a worker can do to the machine it runs on: the harmless form of each attempt, by a worker on a real host."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from runtime.isolate import sandbox
from runtime.isolate.sandbox import namespaces

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(sandbox.available()), reason="; ".join(sandbox.available())),
]

HOSTILE = """
import ctypes, errno, mmap, os, socket, threading
from workers import Response

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"

def call(name, *args):
    if getattr(libc, name)(*args) < 0: raise OSError(ctypes.get_errno(), name)

def number(x86, arm, *args):
    if libc.syscall(x86 if X86 else arm, *args) < 0: raise OSError(ctypes.get_errno(), "")

def datagram(way, kind=socket.SOCK_DGRAM):
    ours, _ = socket.socketpair(socket.AF_UNIX, kind)
    ours.sendto(b"x", env.SOCKET) if way == "sendto" else ours.sendmsg([b"x"], [], 0, env.SOCKET)

def alone():
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)

def own_descriptor(change):
    with open(os.path.abspath(__file__)) as file: change(file.fileno())

tries = {
    "chmod": lambda: os.chmod(env.KEY, 0o600),
    "fchmodat2": lambda: number(452, 452, -100, env.KEY.encode(), 0o600, 0),
    "chown": lambda: os.chown(env.KEY, os.getuid(), -1), "lchown": lambda: os.lchown(env.KEY, os.getuid(), -1),
    "utime": lambda: os.utime(env.KEY), "own file's mode": lambda: own_descriptor(lambda it: os.fchmod(it, 0o600)),
    "own file's time": lambda: own_descriptor(os.utime),
    "set attribute": lambda: os.setxattr(env.KEY, "user.x", b"x"), "attribute": lambda: os.getxattr(env.KEY, "user.x"),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, int(env.HOST), 0),
    "priority of all": lambda: os.setpriority(os.PRIO_USER, os.getuid(), 0),
    "affinity": lambda: os.sched_setaffinity(int(env.HOST), {0}),
    "scheduler": lambda: os.sched_setscheduler(int(env.HOST), os.SCHED_OTHER, os.sched_param(0)),
    "scheduler's attributes": lambda: number(314, 274, int(env.HOST), bytes(48), 0),
    "io priority": lambda: number(251, 30, 1, int(env.HOST), 0), "io priority of all": lambda: number(251, 30, 3, 0, 0),
    "datagram": lambda: datagram("sendto"), "datagram, as a message": lambda: datagram("sendmsg"),
    "raw": lambda: datagram("sendto", socket.SOCK_RAW),
    "watch": lambda: call("inotify_init1", 0), "shared memory": lambda: call("shmget", 0, 4096, 0o600),
    "semaphores": lambda: call("semget", 0, 1, 0o600), "messages": lambda: call("msgget", 0, 0o600),
    "queue": lambda: call("mq_open", b"/pilot-test", os.O_CREAT | os.O_RDWR, 0o600, None),
    "memory without a name": lambda: os.memfd_create("x"), "fork": alone, "vfork": lambda: number(58, 9999),
    "session": os.setsid, "group": lambda: os.setpgid(0, 0), "unseen": lambda: call("prctl", 4, 0, 0, 0, 0),
    "outlive the host": lambda: call("prctl", 1, 0, 0, 0, 0), "another's end": lambda: os.pidfd_open(int(env.HOST)),
    "x32": lambda: number(0x40000000 + 39, 9999) if X86 else number(9999, 9999),
}

async def fetch(request, env):
    globals()["env"] = env
    outcomes = {}
    for name, attempt in tries.items():
        try: attempt(); outcomes[name] = "done"
        except OSError as error: outcomes[name] = errno.errorcode.get(error.errno, str(error.errno))
    status = open("/proc/self/status").read()
    return Response.json([outcomes, int(status.partition("CapEff:")[2].split()[0], 16)])
"""
READS_AS_ROOT = 1 << 2  # CAP_DAC_READ_SEARCH
ELSEWISE = {"set attribute": {"ENOTSUP"}, "attribute": {"ENOTSUP"}, "x32": {"EPERM", "ENOSYS"}}

HONEST = """
import asyncio, ctypes, dbm.dumb, hashlib, os, pathlib, shutil, socket, sqlite3, ssl, tarfile, tempfile, threading
import zipfile, zoneinfo
from workers import Response

def temporary():
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x"); file.flush(); os.makedirs(folder + "/a/b/c"); os.rename(folder + "/a", folder + "/d")
    assert not os.path.exists(folder)

def copies():
    with tempfile.TemporaryDirectory() as folder:
        for copy in (shutil.copy, shutil.copy2, shutil.copyfile): assert copy(__file__, folder + "/x") == folder + "/x"
        shutil.copytree(os.path.dirname(__file__), folder + "/tree"); shutil.move(folder + "/tree", folder + "/moved")
        pathlib.Path(folder, "x").touch(); pathlib.Path(folder, "x").chmod(0o600)
        os.truncate(folder + "/x", 3); assert os.path.getsize(folder + "/x") == 3

def archives():
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("zip", "gztar"):
            made = shutil.make_archive(folder + "/a", kind, os.path.dirname(__file__))
            shutil.unpack_archive(made, folder + "/" + kind)
            assert os.path.exists(folder + "/" + kind + "/entry.py")

def databases():
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(folder + "/x.db") as made:
            made.execute("pragma journal_mode=wal"); made.execute("create table t (a)")
            made.execute("insert into t values (1)")
        with dbm.dumb.open(folder + "/y", "c") as kept: kept[b"a"] = b"b"

def threads():
    done = []
    ours = [threading.Thread(target=done.append, args=[1]) for _ in range(20)]
    [thread.start() for thread in ours]; [thread.join() for thread in ours]
    assert len(done) == 20

def pair():
    ours, theirs = socket.socketpair()
    ours.sendall(b"x"); assert theirs.recv(1) == b"x"; ours.sendmsg([b"y"]); assert theirs.recv(1) == b"y"

def own():
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))
    ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)()

tries = [temporary, copies, archives, databases, threads, pair, own, ssl.create_default_context,
         lambda: zoneinfo.ZoneInfo("Europe/Berlin"), lambda: hashlib.scrypt(b"a", salt=b"b", n=1024, r=8, p=1)]

async def fetch(request, env):
    for attempt in tries: attempt()
    for attempt in tries: await asyncio.to_thread(attempt)
    return Response("fine")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[(), ("--namespaces",)], ids=["", "namespaces"])
async def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    if request.param and (missing := namespaces.missing()):
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("walls")
    async with hosting(folder / "data", "--isolates", "1", *request.param) as running:
        yield running


async def deploy(host: Host, folder: Path, entry: str, config: str = "", name: str = "app") -> None:
    await host.deploy(worker(folder / name, entry, config, name))


async def test_what_a_worker_is_refused(host: Host, tmp_path: Path) -> None:
    key, reached = host.data / "secrets.key", tmp_path / "socket"
    before = os.stat(key)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(reached))
        listening.setblocking(False)
        facts = f'[vars]\nKEY = "{key}"\nSOCKET = "{reached}"\nHOST = "{host.process.pid}"\n'
        await deploy(host, tmp_path, HOSTILE, facts)
        status, text = await host.get("app")
        assert status == 200, text
        with pytest.raises(BlockingIOError):
            listening.recv(1)
    outcomes, capabilities = json.loads(text)
    assert capabilities in (0, READS_AS_ROOT)
    assert {name: how for name, how in outcomes.items() if how not in ELSEWISE.get(name, {"EPERM"})} == {}
    assert len(outcomes) > 30
    assert os.stat(key).st_ctime_ns == before.st_ctime_ns  # any change of it would show here


async def test_what_an_honest_worker_needs(host: Host, tmp_path: Path) -> None:
    await deploy(host, tmp_path, HONEST, name="honest")
    assert await host.get("honest") == (200, "fine")
