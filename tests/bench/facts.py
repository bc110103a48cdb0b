"""Where it was measured: the machine and the versions, without names or paths."""

import os
import platform
from importlib.metadata import version

SERVER_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


def machine(sharing: str, *, cores: int | None = None) -> dict[str, str]:
    """`sharing` says what else ran on the same cores."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    count = cores or len(os.sched_getaffinity(0))
    return {
        "Machine": f"{count} {'core' if count == 1 else 'cores'} of {platform.machine()}, {memory:.0f} GiB of memory,"
        f" {platform.system()}; {sharing}"
    }


def python(*packages: str) -> dict[str, str]:
    return {"Python": platform.python_version(), **{_TITLES.get(name, name): version(name) for name in packages}}


_TITLES = {"django": "Django", "celery": "Celery", "redis": "redis-py"}
