#!/bin/sh
# gVisor's runsc (Debian 12's package, 0.0~20221219.0-2): a process inside it can shut itself in by seccomp, but not by
# Landlock: landlock_create_ruleset is ENOSYS. So what a program takes for granted on Linux 5.13 and later, that it may
# read these folders alone, is not there inside a stronger sandbox. Upstream: google/gvisor issue 13439, open in 2026.
# Seen: "gVisor: landlock 38 seccomp 0", 38 being ENOSYS. Exits non-zero once Landlock answers. Needs apt-get and root.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq runsc 2> download.log || { cat download.log; exit 2; }
dpkg -x runsc_*.deb .
./usr/bin/runsc --version | head -1
cat > asks.py <<'PYTHON'
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
landlock = libc.syscall(444, None, 0, 1)  # landlock_create_ruleset: which version?
error = ctypes.get_errno() if landlock < 0 else 0
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which seccomp wants
allow = ctypes.create_string_buffer(b"\x06\0\0\0\0\0\xff\x7f", 8)  # return SECCOMP_RET_ALLOW


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


seccomp = libc.prctl(22, 2, ctypes.byref(Program(1, ctypes.addressof(allow))), 0, 0)  # PR_SET_SECCOMP, a filter
print("gVisor: landlock", error, "seccomp", seccomp)
sys.exit(not (error == 38 and seccomp == 0))
PYTHON
./usr/bin/runsc --root="$folder/state" --platform=ptrace --network=none --ignore-cgroups do python3 "$folder/asks.py"
