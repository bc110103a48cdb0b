"""A headless Chromium and the product behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from customers.demo.loader import Share, load
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.roles import Role
from tests.browser.chrome import chrome
from tests.browser.steps import sign_in
from tests.cast import ACME, ADA, GLOBEX, SETUP, Person
from tests.live import Web, Worker, together

# A hundredth of the demo, for each tenant its own.
SHARES = {ACME: Share(prefix="A", rest=0, of=120), GLOBEX: Share(prefix="G", rest=1, of=120)}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for these tests and no longer: others run loops of their own."""
    with pytest.MonkeyPatch.context() as patch, chrome() as launched:
        # Playwright keeps a loop running in this thread, which Django takes for an asynchronous caller.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield launched


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The product on demo data, with Ada an administrator of Acme and a viewer at Globex; gives its address."""
    for tenant, share in SHARES.items():
        with scope(tenant_id=tenant, actor=SETUP):
            load(share, now=clock.now(), advance=lambda _: None)
    with scope(tenant_id=GLOBEX, actor=SETUP), transaction():
        tenants.add_member(user=ADA.user, role=Role.VIEWER)
    web, worker = Web(folder / "web.log"), Worker(folder / "worker.log", "dsar-jobs", "batch-jobs")
    with together(web, worker):
        yield web.url


@pytest.fixture
def live(browser: Browser, db: str, tmp_path: Path) -> Iterator[str]:
    with demo(tmp_path) as url:
        yield url


@pytest.fixture
def empty(browser: Browser, db: str, tmp_path: Path) -> Iterator[str]:
    """The product with the cast and no data, with a worker of every queue; gives its address.

    It may call its own machine, where the tests' receivers are.
    """
    own = {"ALLOW_PRIVATE_DESTINATIONS": "true"}
    web, worker = Web(tmp_path / "web.log", **own), Worker(tmp_path / "worker.log", *settings.QUEUES, **own)
    with together(web, worker):
        yield web.url


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, faults: list[str] | None = None) -> None:
        self.page = page
        self.faults: list[str] = [] if faults is None else faults
        page.on("console", lambda m: self.faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else 0)
        page.on("pageerror", lambda e: self.faults.append(f"exception: {e}"))
        page.on("requestfailed", self._failed)
        page.on("response", lambda r: self.faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _failed(self, request: object) -> None:
        # Chromium calls a navigation that became a download, or was overtaken by the next one, aborted.
        if "ERR_ABORTED" not in str(request.failure):  # type: ignore[attr-defined]
            self.faults.append(f"failed: {request.url} {request.failure}")  # type: ignore[attr-defined]


@pytest.fixture
def watched(browser: Browser, live: str) -> Iterator[Watched]:
    context = browser.new_context(base_url=live, viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(10_000)
    yield Watched(context.new_page())
    context.close()


class Officers:
    """Several people, each in a browser of their own."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self.faults: list[str] = []

    def arrive(self, person: Person) -> Page:
        """The home page, as this person sees it."""
        context = self._browser.new_context(base_url=self._url, viewport={"width": 1280, "height": 800})
        context.set_default_timeout(10_000)
        page = Watched(context.new_page(), self.faults).page
        sign_in(page, person)
        return page


@pytest.fixture
def officers(browser: Browser, empty: str) -> Iterator[Officers]:
    here = Officers(browser, empty)
    yield here
    for context in browser.contexts:
        context.close()
