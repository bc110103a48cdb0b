"""`python -m kaireon.local servers|stop`: see `make help`."""

import argparse
import sys

from kaireon.local import servers
from kaireon.local.databases import DatabaseNotReady
from kaireon.local.folder import AlreadyRunning, LocalFolder
from kaireon.local.postgres import BinariesMissing
from kaireon.local.progress import complain, say
from kaireon.local.redis import BinaryMissing
from kaireon.local.server import ServerDidNotStart

_EXPECTED = (DatabaseNotReady, BinariesMissing, BinaryMissing, ServerDidNotStart, servers.RedisNotReady)


def start_servers(local: LocalFolder) -> int:
    """Start PostgreSQL and Redis in the background and write `.local/env`."""
    running = servers.start(local, leashed=False)
    servers.write_env_file(local, servers.environment(local, running))
    say(f"Both run. manage.py reads {local.path / 'env'} by itself; a shell takes it with `. {local.path / 'env'}`.")
    say("Stop them with `python -m kaireon.local stop`.")
    return 0


def stop_servers(local: LocalFolder) -> int:
    servers.stop(local)
    say("PostgreSQL and Redis are stopped.")
    return 0


COMMANDS = {"servers": start_servers, "stop": stop_servers}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kaireon.local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    arguments = parser.parse_args()
    try:
        return COMMANDS[arguments.command](LocalFolder())
    except AlreadyRunning as e:
        complain(f"Another `make run` (pid {e.args[0]}) uses this folder. Stop it first.")
    except _EXPECTED as e:
        complain(str(e))
    return 1


if __name__ == "__main__":
    sys.exit(main())
