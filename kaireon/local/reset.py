"""`make reset`: forget the local installation, after asking."""

import os
import shutil
import sys

from kaireon.local import servers
from kaireon.local.folder import LocalFolder
from kaireon.local.progress import say


def reset(local: LocalFolder) -> int:
    """Stop the embedded servers and remove the folder. YES=1 answers the question beforehand.

    A database or Redis that the environment names is not touched.
    """
    local.lock()
    if not os.environ.get("YES"):
        if not sys.stdin.isatty():
            say(f"This removes {local.path} with all its data. Say so with: make reset YES=1")
            return 1
        answer = input(f"Remove {local.path} with all its data? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            say("Nothing removed.")
            return 1
    servers.stop(local)
    shutil.rmtree(local.path)
    say(f"{local.path} is gone.")
    return 0
