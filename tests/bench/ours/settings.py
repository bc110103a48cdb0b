"""The product's own settings with the bench's two tables, and without the layers above audit."""

from kaireon.settings import *  # noqa: F403
from kaireon.settings import INSTALLED_APPS as PRODUCT_APPS

ABOVE = {"customers", "compliance", "dsar", "cron", "kaireon.ops"}
INSTALLED_APPS = [*(app for app in PRODUCT_APPS if app not in ABOVE), "tests.bench.ours"]
ROOT_URLCONF = "tests.bench.urls"
