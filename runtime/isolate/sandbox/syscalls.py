"""Which system calls a shut-in process is refused: their numbers on x86-64 and on aarch64 (None: it has none there).

Numbers are those of Linux's ``asm/unistd_64.h`` and ``asm-generic/unistd.h``. A call that only some arguments make
harmful is in ``ALLOWED_WITH`` or ``REFUSED_WITH``; a filter sees numbers, never what a pointer leads to.
"""

from __future__ import annotations

from collections.abc import Mapping

Numbers = tuple[int | None, int | None]  # on x86_64, on aarch64

CONNECT: Numbers = (42, 203)
OWN = -1
"""In ``ALLOWED_WITH``: 0, or this process's own id."""

REFUSED: Mapping[str, Mapping[str, Numbers]] = {
    "starts programs and processes": {
        "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
        "setsid": (112, 157), "setpgid": (109, 154),
    },
    "reaches other processes": {
        "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
        "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
        "process_mrelease": (448, 448), "perf_event_open": (298, 241), "tkill": (200, 130),
        "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    },
    "mounts, and opens files past their names": {
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
        "open_tree_attr": (467, 467), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
        "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457),
        "listmount": (458, 458), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
        "unshare": (272, 97), "setns": (308, 268), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    },
    # Landlock does not know these. By descriptor as well: whoever may read a file has one of it, and Python's own
    # files often belong to the host's user.
    "changes what a file is": {
        "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
        "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
        "futimesat": (261, None), "utimensat": (280, 88), "file_getattr": (468, 468), "file_setattr": (469, 469),
    },
    "tells what there is outside": {
        "inotify_init": (253, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
        "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "syslog": (103, 116), "lookup_dcookie": (212, 18),
    },
    "outlives the process, or is counted nowhere": {
        "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
        "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
        "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279),
        "memfd_secret": (447, 447),
    },
    "changes the machine": {
        "bpf": (321, 280), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
        "request_key": (249, 218), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427), "init_module": (175, 105), "finit_module": (313, 273),
        "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
        "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "settimeofday": (164, 170),
        "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
        "setdomainname": (171, 162), "personality": (135, 92), "modify_ldt": (154, None), "iopl": (172, None),
        "ioperm": (173, None), "sync": (162, 81), "syncfs": (306, 267),
    },
    "connects": {"connect": CONNECT, "bind": (49, 200), "listen": (50, 201)},
}  # fmt: skip

UNSUPPORTED: Mapping[str, Numbers] = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "getxattr": (191, 8), "lgetxattr": (192, 9),
    "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "getxattrat": (464, 464), "listxattrat": (465, 465), "removexattrat": (466, 466),
}  # fmt: skip
"""EOPNOTSUPP, as of a file system without extended attributes: ``shutil`` and others go on at that, not at EPERM."""

TRUNCATE: Numbers = (76, 45)  # by path; Landlock knows it from ABI 3 on
CLONE3: Numbers = (435, 435)
CLONE: Numbers = (56, 220)
CLONE_THREAD = 0x10000
CLONE_NAMESPACES = 0x7E020080  # CLONE_NEW*

_AF_UNIX = 1
_TYPES = 0xF  # the rest of a socket's type are flags
_STREAM, _SEQPACKET = 1, 5  # a datagram, and "raw", which is one here, may name any socket of the machine by its path
_PRIO_PROCESS, _IOPRIO_PROCESS = 0, 1

ALLOWED_WITH: Mapping[str, tuple[Numbers, tuple[tuple[int, int, tuple[int, ...]], ...]]] = {
    "socket": ((41, 198), ((0, ~0, (_AF_UNIX,)), (1, _TYPES, (_STREAM, _SEQPACKET)))),
    "socketpair": ((53, 199), ((0, ~0, (_AF_UNIX,)), (1, _TYPES, (_STREAM, _SEQPACKET)))),
    "kill": ((62, 129), ((0, ~0, (OWN,)),)),
    "tgkill": ((234, 131), ((0, ~0, (OWN,)),)),
    "prlimit64": ((302, 261), ((0, ~0, (OWN,)),)),
    "setpriority": ((141, 140), ((0, ~0, (_PRIO_PROCESS,)), (1, ~0, (OWN,)))),
    "ioprio_set": ((251, 30), ((0, ~0, (_IOPRIO_PROCESS,)), (1, ~0, (OWN,)))),
    "sched_setattr": ((314, 274), ((0, ~0, (OWN,)),)),
    "sched_setscheduler": ((144, 119), ((0, ~0, (OWN,)),)),
    "sched_setparam": ((142, 118), ((0, ~0, (OWN,)),)),
    "sched_setaffinity": ((203, 122), ((0, ~0, (OWN,)),)),
    "migrate_pages": ((256, 238), ((0, ~0, (OWN,)),)),
    "move_pages": ((279, 239), ((0, ~0, (OWN,)),)),
}
"""Name → numbers, and (argument, mask, values): refused unless the low half of each argument has one of its values."""

REFUSED_WITH: Mapping[str, tuple[Numbers, int, tuple[int, ...]]] = {
    # TIOCSTI and TIOCLINUX type into a terminal; FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR change what a file is.
    "ioctl": ((16, 29), 1, (0x5412, 0x541C, 0x40086602, 0x401C5820)),
    # PR_SET_PDEATHSIG: it ends with its zygote. PR_SET_DUMPABLE: the host counts what it uses.
    "prctl": ((157, 167), 0, (1, 4)),
}
"""Name → numbers, argument, and the values of its low half that are refused."""

__all__ = [
    "ALLOWED_WITH",
    "CLONE",
    "CLONE3",
    "CLONE_NAMESPACES",
    "CLONE_THREAD",
    "CONNECT",
    "OWN",
    "REFUSED",
    "REFUSED_WITH",
    "TRUNCATE",
    "UNSUPPORTED",
    "Numbers",
]
