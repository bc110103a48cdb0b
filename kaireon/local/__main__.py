"""`python -m kaireon.local COMMAND`: what `make run` and its neighbours call.

run: start everything and stay; servers: PostgreSQL and Redis alone, in the background; stop: end those;
reset: remove all local data, after asking; chromium: print the path of a browser for the tests.
"""

import argparse
import os
import sys

from kaireon.local import servers
from kaireon.local.chromium import BrowserMissing, find
from kaireon.local.databases import DatabaseNotReady
from kaireon.local.folder import AlreadyRunning, LocalFolder
from kaireon.local.postgres import BinariesMissing
from kaireon.local.processes import ProcessKeepsFailing
from kaireon.local.progress import complain, say
from kaireon.local.redis import BinaryMissing
from kaireon.local.reset import reset
from kaireon.local.run import CommandFailed, NotReady, PortNotUsable, run
from kaireon.local.server import ServerDidNotStart

# What can go wrong on somebody's machine, each with a message for them; anything else is a defect and shows its trace.
_EXPECTED = (
    BinariesMissing,
    BinaryMissing,
    BrowserMissing,
    CommandFailed,
    DatabaseNotReady,
    NotReady,
    PortNotUsable,
    ProcessKeepsFailing,
    ServerDidNotStart,
    servers.RedisNotReady,
)


def start_servers(local: LocalFolder) -> int:
    """Start PostgreSQL and Redis in the background and write `.local/env`."""
    running = servers.start(local, leashed=False)
    servers.write_env_file(local, servers.environment(local, running))
    say(f"Both run. manage.py reads {local.path / 'env'} by itself; a shell takes it with `. {local.path / 'env'}`.")
    say("Stop them with `python -m kaireon.local stop`.")
    return 0


def stop_servers(local: LocalFolder) -> int:
    local.lock()
    servers.stop(local)
    say("PostgreSQL and Redis are stopped.")
    return 0


def show_chromium(local: LocalFolder) -> int:
    say(str(find(local).executable))
    return 0


COMMANDS = {
    "run": run,
    "servers": start_servers,
    "stop": stop_servers,
    "reset": reset,
    "chromium": show_chromium,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kaireon.local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    arguments = parser.parse_args()
    # Exports, logs and databases hold people's data: whatever is created from here on is its owner's alone.
    os.umask(0o077)
    try:
        return COMMANDS[arguments.command](LocalFolder())
    except AlreadyRunning as e:
        complain(f"Another launcher (pid {e.args[0]}) uses this folder. Stop it first, or set LOCAL_DIR to another.")
    except _EXPECTED as e:
        complain(f"\n{e}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
