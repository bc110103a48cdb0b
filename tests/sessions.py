"""Sessions with the databases of the tests that outlive a test, as they would behind a pooler.

Opening one, and having PostgreSQL learn the tables anew in it, costs as much as most tests do with it. So the next
test on the same database that connects in the same way is handed the session of an earlier one, tidied up. Django
goes through all of its connecting but for the opening itself.
"""

import os
import threading
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.pq import TransactionStatus

Parameters = dict[str, Any]

_TIDY = """
    CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
    DISCARD SEQUENCES; DISCARD TEMP; SELECT pg_stat_force_next_flush()
"""


class Sessions:
    """Those of this process, by the name of their database."""

    def __init__(self) -> None:
        # What each was opened with.
        self._parameters: WeakKeyDictionary[psycopg.Connection, Parameters] = WeakKeyDictionary()
        self._idle: dict[str, list[psycopg.Connection]] = {}
        # How many were opened with each database.
        self.opened: Counter[str] = Counter()
        # A child that was forked would share them with its parent, and with its siblings.
        self._process = os.getpid()

    def install(self) -> None:
        """From here on Django asks us."""
        sessions, open_ = self, DatabaseWrapper.get_new_connection

        def kept_or_opened(wrapper: DatabaseWrapper, parameters: Parameters) -> psycopg.Connection:
            if kept := sessions._kept(parameters):
                return kept
            session: psycopg.Connection = open_(wrapper, parameters)
            sessions._parameters[session] = parameters
            sessions.opened[str(parameters.get("dbname"))] += 1
            return session

        DatabaseWrapper.get_new_connection = kept_or_opened

    def left_by_test(self, name: str) -> list[psycopg.Connection]:
        """Take those sessions from Django's connections that are as when they were opened."""
        left = []
        for wrapper in connections.all(initialized_only=True):
            session = wrapper.connection
            if session is None or wrapper.in_atomic_block or not _is_untouched(session):
                continue
            if self._parameters.get(session, {}).get("dbname") == name:
                wrapper.connection = None
                left.append(session)
        connections.close_all()
        return left

    def keep(self, name: str, sessions: list[psycopg.Connection]) -> None:
        """For the next test on that database."""
        self._idle[name] = sessions

    def forget(self, name: str) -> list[psycopg.Connection]:
        """Those that the test on that database had no use for."""
        return self._idle.pop(name, [])

    def _kept(self, parameters: Parameters) -> psycopg.Connection | None:
        if os.getpid() == self._process and threading.current_thread() is threading.main_thread():
            idle = self._idle.get(str(parameters.get("dbname")), [])
            for session in [session for session in idle if self._parameters[session] == parameters]:
                idle.remove(session)
                if _is_there(session):
                    return session
        return None


def tidied(session: psycopg.Connection) -> bool:
    """Nothing is left of what was set, locked or listened to, and it has reported what it counted; False if broken."""
    try:
        session.execute(_TIDY)
    except psycopg.Error:
        session.close()
        return False
    return True


def _is_there(session: psycopg.Connection) -> bool:
    """A test may have ended it, as it does with those that it knows of."""
    try:
        session.execute("")
    except psycopg.OperationalError:
        session.close()
        return False
    return True


def _is_untouched(session: psycopg.Connection) -> bool:
    return (
        not session.closed
        and session.autocommit
        and session.info.transaction_status is TransactionStatus.IDLE
        and (session.isolation_level, session.read_only, session.deferrable) == (None, None, None)
        and not session._notice_handlers
        and not session._notify_handlers
    )
