"""A report for the pictures: as a page in the browser, and the first page of its PDF."""

from pathlib import Path

import pypdfium2
from playwright.sync_api import Browser

from compliance.reporting import templates
from compliance.reporting.rendering import render
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.reporting.planted import NOW, YEAR, ZONE, plant

TEMPLATE = "subject_requests"


def take_the_report(browser: Browser, database: str, images: Path, folder: Path) -> None:
    """Of the world that the tests of reports plant in this database."""
    plant(database)
    with ADA.here(), transaction(one_moment=True):
        document = templates.build(TEMPLATE, period=YEAR, zone=ZONE, now=NOW)
    file = folder / "report.html"
    file.write_bytes(render(document, "html"))
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(file.as_uri())
    page.screenshot(path=images / "report-html.png")
    page.close()
    with pypdfium2.PdfDocument(render(document, "pdf")) as pdf:
        pdf[0].render(scale=1.4).to_pil().quantize(64).save(images / "report-pdf.png", optimize=True)
