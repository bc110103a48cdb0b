"""The pictures of subject requests: the board, an erasure and its steps, the report, the package."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

from playwright.sync_api import Page, expect

from dsar.letters import manner
from dsar.models import Letter
from dsar.requests import assigning, services
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.tenancy.context import transaction
from tests.browser.steps import follow, sign_in
from tests.cast import ADA

Take = Callable[[Page, str], None]
# Kind, customer, law, days since it came in, and what it waits for beside a worker.
REQUESTS = (
    ("rectification", "A-01200", "gdpr", 26, {"details": "Roe, not Doe"}),
    ("objection", "A-01320", "gdpr", 9, {"details": "No profiling"}),
    ("restriction", "A-01440", "ccpa", 2, {"details": "Limit it"}),
    ("grievance", "A-01560", "dpdpa", 40, {"details": "Nobody answers"}),
    ("export", "A-01680", "ccpa", 31, {"identity_by": "code"}),
    ("delete", "A-01800", "uk_gdpr", 5, {"identity_by": "evidence"}),
)


def take_the_board(page: Page, take: Take) -> None:
    now = clock.now()
    with ADA.here(uuid4().hex), transaction():
        for kind, number, law, days, more in REQUESTS:
            row = services.create_request(
                request_type=kind,
                subject_id=number,
                regulation=law,
                received_at=now - timedelta(days=days),
                actor=ADA.actor,
                now=now,
                **more,
            ).request
            if kind in ("objection", "grievance"):
                assigning.assign(request=row, to=ADA.email)
    page.goto("/admin/dsar/dsarrequest/board/")
    take(page, "request-desk")


def take_the_confirmation(page: Page, take: Take) -> None:
    """What an erasure would do, and the words that are typed before it is filed."""
    page.goto("/admin/dsar/dsarrequest/erasure/")
    page.locator("#id_subject_id").fill("A-01080")
    follow(page, page.get_by_role("button", name="Show what would be erased"))
    typed = page.get_by_label("Type A-01080 to confirm")
    typed.fill("A-01080")
    typed.evaluate("field => field.form.scrollIntoView({block: 'end'})")
    take(page, "erasure-confirm")


def take_the_steps(page: Page, take: Take, request: object) -> None:
    page.goto(f"/admin/dsar/dsarrequest/{request}/change/")
    page.get_by_role("heading", name="Steps of the erasure").evaluate(
        "title => title.closest('section').scrollIntoView({block: 'center'})"
    )
    take(page, "erasure-steps")


def take_the_report(page: Page, take: Take) -> None:
    page.goto("/admin/dsar/dsarrequest/report/")
    take(page, "request-report")


def take_the_package(page: Page, images: Path, folder: Path) -> None:
    """The package that an officer hands out, unpacked and opened from disk."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download to read (zip)").click()
    file = folder / "package.zip"
    download.value.save_as(file)
    with ZipFile(file) as package:
        package.extractall(folder / "package")
    back = page.url
    page.goto((folder / "package" / "index.html").as_uri())
    expect(page.get_by_role("heading").first).to_be_visible()
    page.screenshot(path=images / "dossier.png", full_page=True)
    page.goto(back)


def take_the_letters(page: Page, take: Take, mails: Path) -> None:
    """A refusal before it is one, in the subject's language; and an acknowledgement that was sent."""
    with ADA.here(uuid4().hex), transaction():
        destinations.save(name="post", kind="email", given={}, now=clock.now())
        address = "privacy@acme.example"
        manner.change({"automatic": True, "sender": address, "contact": address}, now=clock.now())
        row = services.create_request(
            request_type="rectification",
            subject_id="A-00720",
            details="Roe, not Doe",
            language="en",
            actor=ADA.actor,
            now=clock.now(),
        ).request
        letter = Letter.objects.get(request=row)
    sign_in(page)
    page.set_viewport_size({"width": 1280, "height": 1150})
    page.goto(f"/admin/dsar/dsarrequest/{row.pk}/preview/?kind=refusal")
    page.get_by_label("Language").select_option("fr")
    page.get_by_label("Ground of a refusal").select_option("accurate")
    page.get_by_label("Reason, or what was done").fill("Votre pièce d'identité porte le nom que nous avons.")
    follow(page, page.get_by_role("button", name="Show it"))
    take(page, "letter-preview")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"/admin/dsar/dsarrequest/{row.pk}/letter/?letter={letter.pk}")
    while not page.get_by_text("Sent", exact=True).is_visible():
        page.wait_for_timeout(500)
        page.reload()
    take(page, "letter")
    [mail] = mails.iterdir()
    assert address in mail.read_text()
