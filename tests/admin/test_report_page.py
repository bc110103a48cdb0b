"""The figures of a period in the admin, and as a file."""

from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ADA, MALLORY
from tests.dsar.test_report import NOW, fill

REPORT = "/admin/dsar/dsarrequest/report/"
YEAR = "from=2025-01-01&to=2025-12-31"


def test_an_officer_reads_the_figures_of_a_year_and_takes_them_along(sign_in: SignIn) -> None:
    with clock.freeze(NOW), ADA.here(), transaction():
        fill()
    client = sign_in(ADA)
    answer = client.get(f"{REPORT}?{YEAR}")
    assert refused(answer) == []
    page = answer.content.decode()
    for figure, value in {"received": "16", "rate": "90.9 %", "median": "10.0", "mean": "17.5", "open": "4"}.items():
        assert f'data-figure="{figure}">{value}<' in page, figure
    for words in (
        "11 CCR § 7102(a)",
        "Requests to know",
        "could not be verified 1",
        "Excessive, above all by repetition",
    ):
        assert words in page, words
    file = client.get(f"{REPORT}?{YEAR}&format=csv")
    assert file.headers["Content-Type"].startswith("text/csv")
    assert file.headers["Content-Disposition"] == 'attachment; filename="subject-requests-2025-01-01-2025-12-31.csv"'
    assert file.content.decode().splitlines()[1].startswith('"2025-01-01","2025-12-31","All","All",16,11,')
    assert client.get(f"{REPORT}?{YEAR}").content.decode().count("<table") == 5
    # Nothing of another tenant, and a year without any.
    theirs = sign_in(MALLORY).get(f"{REPORT}?{YEAR}").content.decode()
    assert "None was received or answered from 1 Jan 2025 to 31 Dec 2025." in theirs
    for wrong, words in {"from=x": "YYYY-MM-DD", "from=2026-01-02&to=2026-01-01": "ends before it begins"}.items():
        page = client.get(f"{REPORT}?{wrong}&format=csv").content.decode()
        assert words in page, wrong
    assert client.post(REPORT, {}).status_code == 405
