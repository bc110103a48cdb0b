from tests.bench.peer_settings import *  # noqa: F403
from tests.bench.peer_settings import INSTALLED_APPS as COMMON_APPS

INSTALLED_APPS = [*COMMON_APPS, "auditlog", "tests.bench.with_auditlog"]
MIDDLEWARE = ["auditlog.middleware.AuditlogMiddleware"]
