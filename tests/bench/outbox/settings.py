"""The product's own settings, allowed to deliver to this machine."""

from kaireon.settings import *  # noqa: F403

ALLOW_PRIVATE_DESTINATIONS = True
