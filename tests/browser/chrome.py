"""The headless Chromium that the project brings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from kaireon.local import chromium
from kaireon.local.folder import LocalFolder


@contextmanager
def chrome() -> Iterator[Browser]:
    found = chromium.find(LocalFolder())
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found.executable, args=found.args, env={**os.environ, **found.env}
        )
        yield launched
        launched.close()
