"""A bench writes its own section of docs/benchmarks.md, and what others wrote stays to the letter."""

import pytest

from tests.bench import document, noise
from tests.bench.__main__ import BENCHES
from tests.bench.section import Section, Table

ORDER = ("First", "Second", "Third")


def section(title: str, rate: str = "1,000") -> Section:
    return Section(
        title=title,
        introduction="What is done.\n",
        tables=[Table(title="One worker", headings=["", "a second"], cells=[["Ours", rate]])],
        verdicts={"Ours": "1.0 (holds)"},
        facts={"Python": "3.11"},
        took=61.0,
        rounds=[{"rate": 1000.0}],
    )


def test_a_section_replaces_itself_and_no_other() -> None:
    whole = ""
    for title in ORDER:
        whole = document.with_section(whole, section(title), order=ORDER)
    by_hand = whole.replace("## First\n", "## First\n\nMeasured on a Sunday.  \n", 1)

    written = document.with_section(by_hand, section("Second", rate="2,000"), order=ORDER)

    assert written == by_hand.replace(section("Second").markdown(), section("Second", rate="2,000").markdown())
    assert "2,000" in written
    assert "Measured on a Sunday.  \n" in written


def test_sections_stand_in_their_order() -> None:
    whole = ""
    for title in reversed(ORDER):
        whole = document.with_section(whole, section(title), order=ORDER)

    assert [whole.index(f"## {title}\n") for title in ORDER] == sorted(whole.index(f"## {title}\n") for title in ORDER)


def test_every_form_of_a_section_has_its_rates_and_verdicts() -> None:
    found = section("First")

    for text in (found.text(), found.markdown()):
        assert "1,000" in text
        assert "Ours: 1.0 (holds)" in text
    assert found.json()["rows"] == [{"rate": 1000.0}]
    assert found.json()["verdicts"] == {"Ours": "1.0 (holds)"}


def test_titles_tell_the_benches_apart() -> None:
    assert len({bench.TITLE for bench in BENCHES.values()}) == len(BENCHES)


def test_the_document_has_only_sections_of_benches() -> None:
    assert set(document._sections(document.DOCUMENT.read_text())) <= {bench.TITLE for bench in BENCHES.values()}


@pytest.mark.parametrize(
    ("rates", "held", "said"),
    [
        ((1000.0, 1010.0, 990.0), True, "holds"),
        ((1000.0, 1010.0, 990.0), False, "missed"),
        ((300.0, 1000.0, 1900.0), True, "not settled"),
    ],
)
def test_a_verdict_needs_a_quiet_machine(rates: tuple[float, ...], *, held: bool, said: str) -> None:
    assert noise.judged(held, noise.spread(rates)).startswith(said)
