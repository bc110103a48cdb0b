import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsar.deadlines import LAWS, ExtensionRefused, UnknownRegulation, add_months, clock_for, end_of, extend, local_date
from kaireon.lib.clock import NaiveMoment, at

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "deadlines.json").read_text())["cases"]
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
ZULU = ZoneInfo("UTC")

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds must be naive


def received_on(text, tz=ZULU):
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), tz) + timedelta(hours=12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['regulation']} {case['received']}")
def test_it_counts_as_the_vectors_say(case):
    clock = clock_for(case["regulation"], received_on(case["received"]), ZULU)

    assert clock.due.isoformat() == case["due"]
    assert clock.extended_due.isoformat() == case["extended"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["regulation"] == "gdpr"], ids=lambda case: case["received"]
)
def test_uk_gdpr_counts_months_alike(case):
    clock = clock_for("uk_gdpr", received_on(case["received"]), ZULU)

    assert (clock.due.isoformat(), clock.extended_due.isoformat()) == (case["due"], case["extended"])


def test_uk_gdpr_counts_the_example_of_the_ico():
    # "Received on 3 September: until 3 October"; "31 March: until 30 April".
    assert clock_for("uk_gdpr", received_on("2024-09-03"), ZULU).due == date(2024, 10, 3)
    assert clock_for("uk_gdpr", received_on("2024-03-31"), ZULU).due == date(2024, 4, 30)


@pytest.mark.parametrize(
    ("regulation", "rule", "article"),
    [
        ("gdpr", "received", "1182/71 Art. 3"),
        ("gdpr", "respond", "GDPR Art. 12(3)"),
        ("gdpr", "extend", "GDPR Art. 12(3)"),
        ("uk_gdpr", "received", "ICO"),
        ("uk_gdpr", "respond", "UK GDPR Art. 12(3), 12A"),
        ("uk_gdpr", "extend", "UK GDPR Art. 12A"),
        ("ccpa", "respond", "1798.130(a)(2)(A)"),
        ("ccpa", "extend", "11 CCR § 7021(b)"),
        ("ccpa", "acknowledge", "11 CCR § 7021(a)"),
        ("dpdpa", "respond", "DPDP Act 2023"),
        ("dpdpa", "extend", "r. 14(3)"),
    ],
)
def test_every_date_names_its_article(regulation, rule, article):
    rules = {row.rule: row for row in clock_for(regulation, received_on("2026-01-31"), ZULU).rules}

    assert article in rules[rule].article
    assert "2026-" in rules[rule].effect


def test_only_ccpa_wants_an_acknowledgement():
    assert {name for name in LAWS if clock_for(name, received_on("2026-01-31"), ZULU).acknowledge_by} == {"ccpa"}


def test_ccpa_acknowledgement_counts_ten_business_days():
    # A Saturday; with Lincoln's birthday as a holiday the tenth working day is one later.
    received = received_on("2026-01-31")

    assert clock_for("ccpa", received, ZULU).acknowledge_by == date(2026, 2, 13)
    assert clock_for("ccpa", received, ZULU, holidays={date(2026, 2, 12)}).acknowledge_by == date(2026, 2, 16)


def test_the_day_is_that_of_the_tenant():
    received = datetime(2026, 1, 30, 20, 0, tzinfo=UTC)

    assert clock_for("gdpr", received, ZoneInfo("America/New_York")).due == date(2026, 2, 28)
    assert clock_for("dpdpa", received, KOLKATA).due == date(2026, 3, 2)
    assert clock_for("dpdpa", received, ZULU).due == date(2026, 3, 1)


def test_rolling_moves_to_the_next_working_day_and_says_so():
    # 2026-02-28 is a Saturday; the Monday after is given as a holiday. The extension counts from receipt.
    clock = clock_for("gdpr", received_on("2026-01-31"), ZULU, holidays={date(2026, 3, 2)}, roll=True)

    assert clock.due == date(2026, 3, 3)
    assert clock.extended_due == date(2026, 4, 30)
    assert clock.rules[-1].rule == "roll"
    assert "1182/71 Art. 3(4)" in clock.rules[-1].article


def test_an_extension_on_the_last_day_is_in_time():
    clock = clock_for("gdpr", received_on("2026-01-31", BERLIN), BERLIN)
    longer = extend(clock, datetime(2026, 2, 28, 23, 59, tzinfo=BERLIN), "Forty systems to search.")

    assert longer.deadline == clock.extended_due == date(2026, 4, 30)
    assert longer.due == clock.due == clock.deadline
    assert longer.extension.reason == "Forty systems to search."
    assert longer.rules[-1].effect == "Extended on 2026-02-28: due by 2026-04-30."


@pytest.mark.parametrize("regulation", LAWS)
def test_an_extension_after_the_last_day_is_refused_with_its_article(regulation):
    clock = clock_for(regulation, received_on("2026-01-31", BERLIN), BERLIN)
    midnight = datetime.combine(clock.due + timedelta(days=1), datetime.min.time(), BERLIN)

    with pytest.raises(ExtensionRefused) as e:
        extend(clock, midnight, "Too late.")
    assert e.value.article == LAWS[regulation].general.extend_article
    assert e.value.article in str(e.value)


@pytest.mark.parametrize("regulation", LAWS)
def test_a_second_extension_is_refused(regulation):
    received = received_on("2026-01-31")
    longer = extend(clock_for(regulation, received, ZULU), received, "Complex.")

    with pytest.raises(ExtensionRefused, match="only once"):
        extend(longer, received, "Still complex.")


def test_an_extension_needs_a_reason_and_a_request():
    received = received_on("2026-01-31")
    clock = clock_for("gdpr", received, ZULU)

    with pytest.raises(ExtensionRefused, match="demands"):
        extend(clock, received, "  ")
    with pytest.raises(ExtensionRefused, match="before the request"):
        extend(clock, received - timedelta(days=1), "Early.")


def test_days_left_count_down_through_zero():
    clock = clock_for("gdpr", received_on("2026-01-15"), ZULU)

    assert clock.days_left(at("2026-02-14T12:00")) == 1
    assert clock.days_left(at("2026-02-15T23:59")) == 0
    assert clock.in_time(at("2026-02-15T23:59"))
    assert clock.days_left(at("2026-02-16T00:00")) == -1
    assert not clock.in_time(at("2026-02-16T00:00"))


def test_the_last_moment_of_a_day_is_found_where_clocks_change_at_midnight():
    # Clocks in São Paulo went back from midnight to 23:00 on 17 February 2018: 23:59:59 came twice.
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    last = end_of(date(2018, 2, 17), sao_paulo)

    assert last.isoformat() == "2018-02-17T23:59:59-03:00"
    assert local_date(last.astimezone(UTC) + timedelta(seconds=1), sao_paulo) == date(2018, 2, 18)


@given(MOMENTS, st.sampled_from(sorted(LAWS)))
def test_dates_follow_receipt_in_order(received, regulation):
    clock = clock_for(regulation, received, BERLIN)
    rolled = clock_for(regulation, received, BERLIN, roll=True)

    assert local_date(received, BERLIN) < clock.due < clock.extended_due
    assert clock.due <= rolled.due <= clock.due + timedelta(days=2)
    assert rolled.due.weekday() < 5


@given(MOMENTS, MOMENTS, st.sampled_from(sorted(LAWS)))
def test_receiving_earlier_never_means_later(one, other, regulation):
    earlier, later = sorted((one, other))

    assert clock_for(regulation, earlier, BERLIN).due <= clock_for(regulation, later, BERLIN).due


def test_months_end_on_their_last_day():
    assert add_months(date(2027, 11, 30), 3) == date(2028, 2, 29)
    assert add_months(date(2026, 12, 31), 1) == date(2027, 1, 31)


def test_it_refuses_unknown_laws_and_naive_moments():
    with pytest.raises(UnknownRegulation, match="gdpr, uk_gdpr, ccpa, dpdpa"):
        clock_for("lgpd", at("09:00"), ZULU)
    with pytest.raises(NaiveMoment):
        clock_for("gdpr", datetime(2026, 1, 31), ZULU)  # noqa: DTZ001 - the point of the test


def test_the_page_names_every_article_of_the_packs():
    page = (Path(__file__).parents[2] / "docs" / "dsar.md").read_text()
    for law in LAWS.values():
        terms = [law.general, *law.special.values()]
        articles = {law.counting_article, law.rolling_article, law.no_pause_article}
        articles |= {rule.article for rule in law.pauses.values()}
        articles |= {article for t in terms for article in (t.extend_article, t.acknowledge_article)}
        articles |= {t.respond_article.partition(" (")[0] for t in terms if "default" in t.respond_article}
        articles |= {t.respond_article for t in terms if "default" not in t.respond_article}
        assert {article for article in articles if article not in page} == set(), law.regulation
