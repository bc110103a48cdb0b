"""The headless Chromium that the project brings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

from kaireon.local import chromium
from kaireon.local.folder import LocalFolder


@contextmanager
def chrome() -> Iterator[Browser]:
    found = chromium.find(LocalFolder())
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found.executable, args=found.args, env={**os.environ, **found.env}
        )
        # A page that nobody has asked for yet takes its time on a machine that is busy.
        expect.set_options(timeout=15_000)
        yield launched
        launched.close()
