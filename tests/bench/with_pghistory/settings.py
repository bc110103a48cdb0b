from tests.bench.peer_settings import *  # noqa: F403
from tests.bench.peer_settings import INSTALLED_APPS as COMMON_APPS

INSTALLED_APPS = [*COMMON_APPS, "pgtrigger", "pghistory", "tests.bench.with_pghistory"]
MIDDLEWARE = ["pghistory.middleware.HistoryMiddleware"]
