"""Exec a command so that it never outlives the process that started it. Stand-alone: run by path.

    python -I -S leash.py PARENT SIGNAL TWIN COMMAND [ARGUMENT…]

PARENT is the pid the command must not outlive, or 0 for no leash; SIGNAL is what it gets when PARENT dies, however that
happens; TWIN is `same` to keep the user, or `unprivileged` to take another uid in a user namespace when we are root
(PostgreSQL refuses to run as root, and another real user could not read a project under /root).
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_INNER_ID = 1000


def _drop_root() -> None:
    outer_uid, outer_gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(
            f"PostgreSQL refuses to run as root and this kernel grants no user namespace ({reason}). "
            "Run as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own."
        )
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INNER_ID} {outer_uid} 1"),
        ("gid_map", f"{_INNER_ID} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def main() -> None:
    parent, signal_number, user = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    command = sys.argv[4:]
    if user == "unprivileged" and os.getuid() == 0:
        _drop_root()
    # After the namespace: changing credentials clears the parent-death signal.
    if parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        # The parent may have died between our fork and the line above.
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the whole point


if __name__ == "__main__":
    main()
