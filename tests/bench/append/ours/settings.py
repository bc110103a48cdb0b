"""The product's own settings with the bench's tables and the peers, and without the layers above audit."""

from kaireon.settings import *  # noqa: F403
from kaireon.settings import INSTALLED_APPS as PRODUCT_APPS

ABOVE = {"customers", "compliance", "dsar", "cron", "kaireon.ops"}
PEERS = ["auditlog", "simple_history", "pgtrigger", "pghistory"]
INSTALLED_APPS = [*(app for app in PRODUCT_APPS if app not in ABOVE), *PEERS, "tests.bench.append.ours"]
ROOT_URLCONF = "tests.bench.append.urls"
