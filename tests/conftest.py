"""Every test runs as the product does: real PostgreSQL under the application's role, real Redis, real commits.

A test that asks for `db` has a database of its own: a copy of the migrated template with the cast of `tests/cast.py`
in it (two tenants, their members and keys). Nothing is rolled back and nothing is shared: a copy that an earlier test
had comes with the template's rows and no others (tests/copies.py).
"""

import gc
import os
import signal
from collections.abc import Iterator

import psycopg
import pytest

from tests.servers import SUITE, NotASuperuser

# A shell that starts the suite in the background has all of it ignore Ctrl-C, and what the tests start would too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Settings are read at import, so this comes before anything of Django.
SUITE.prepare_environment()

import django  # noqa: E402

django.setup()

from kaireon import env  # noqa: E402

assert SUITE.redis_url == env.REDIS_URL, "settings were read too early: two processes would share a Redis"

from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402

# The suite signs in some hundred times; the strength of Django's hasher is not what it tests.
PBKDF2PasswordHasher.iterations = 1_000

from whitenoise.middleware import WhiteNoiseMiddleware  # noqa: E402

_look_for_files = WhiteNoiseMiddleware.add_files_from_finders
_static_files: dict[str, object] = {}


def _find_files_once(middleware: WhiteNoiseMiddleware) -> None:
    """Every client loads the middleware anew, which then looks at each static file: they are the same for all."""
    if not _static_files:
        _look_for_files(middleware)
        _static_files.update(middleware.files)
    middleware.files.update(_static_files)


WhiteNoiseMiddleware.add_files_from_finders = _find_files_once


def pytest_configure(config: pytest.Config) -> None:
    # The controller of pytest-xdist lives longer than its workers, so the cluster hangs on it.
    if getattr(config.option, "numprocesses", None) and not config.option.collectonly:
        # Else pytest-django reads the settings in each worker before the worker has said which Redis is its own.
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        try:
            SUITE.start_postgres()
        except (NotASuperuser, psycopg.OperationalError) as e:
            raise pytest.UsageError(str(e)) from e


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one that starts last would run alone, with the other cores idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # Thousands of tests and all that they import stay to the end: nobody needs to look through them for garbage.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    SUITE.stop()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Replaces pytest-django's: its test database would belong to the application role."""


@pytest.fixture
def db(django_db_blocker) -> Iterator[str]:
    """A fresh database; gives its name. See tests/servers.py."""
    with django_db_blocker.unblock(), SUITE.database() as name:
        yield name


@pytest.fixture
def transactional_db(db: str) -> str:
    return db


@pytest.fixture
def _django_db_helper(db: str) -> str:
    """What the mark `django_db` asks for."""
    return db


@pytest.fixture
def superuser_url(db: str) -> str:
    """libpq address of the test's database for the one who may do everything."""
    return SUITE.superuser_url(db)


@pytest.fixture(autouse=True)
def _clean_redis() -> Iterator[None]:
    yield
    SUITE.flush_redis()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their place: archives carry the moment they were made, and all processes must agree."""
    return argname if isinstance(val, bytes) else None
