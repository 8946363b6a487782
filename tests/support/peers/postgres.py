"""A Postgres of the test's own, where this machine has one; it is never started as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hosting import free_port

USER, PASSWORD = "me", "p@ss/w ord"
_PLACES = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]


@contextmanager
def postgres(*, tls: bool = True) -> Iterator[int]:
    """Its port of 127.0.0.1: of ``USER``, with a certificate of its own. Skips the test where Postgres is missing."""
    initdb, server = (shutil.which(name, path=os.pathsep.join(_PLACES)) for name in ("initdb", "postgres"))
    if initdb is None or server is None or shutil.which("openssl") is None:
        pytest.skip("Postgres or openssl is not installed")
    own = _own_user()
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))  # its user must be able to enter it
    try:
        (folder / "password").write_text(PASSWORD)
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        _run(["openssl", "req", "-x509", "-subj", "/CN=postgres.test", "-days", "2", *key], None)
        (folder / "key.pem").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, own)
        _run([os.path.realpath(initdb), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256",
              f"--pwfile={folder / 'password'}", "--no-sync"], own)  # fmt: skip
        port = free_port()
        process = subprocess.Popen(
            [os.path.realpath(server), "-D", str(folder / "data"), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", f"unix_socket_directories={folder}", "-c", "fsync=off",
             "-c", f"ssl={'on' if tls else 'off'}", "-c", f"ssl_cert_file={folder / 'cert.pem'}",
             "-c", f"ssl_key_file={folder / 'key.pem'}"],
            user=own, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            assert any("ready to accept connections" in line for line in process.stderr)
            yield port
        finally:
            process.send_signal(2)
            process.communicate(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own_user() -> str:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("Postgres does not run as root, and there is no user called postgres")


def _run(command: list[str], user: str | None) -> None:
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
