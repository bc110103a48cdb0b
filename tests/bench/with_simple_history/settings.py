from tests.bench.peer_settings import *  # noqa: F403
from tests.bench.peer_settings import INSTALLED_APPS as COMMON_APPS

INSTALLED_APPS = [*COMMON_APPS, "simple_history", "tests.bench.with_simple_history"]
MIDDLEWARE = ["simple_history.middleware.HistoryRequestMiddleware"]
