"""The product's own settings, with a job that does nothing."""

from kaireon.settings import *  # noqa: F403
from kaireon.settings import INSTALLED_APPS as PRODUCT_APPS

INSTALLED_APPS = [*PRODUCT_APPS, "tests.bench.jobs.noop"]
