"""Each rule of each law pack, by its article: how long, extended how, confirmed when, paused on which ground."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dsar.deadlines import (
    LAWS,
    ExtensionRefused,
    Ground,
    PauseRefused,
    Right,
    clock_for,
    extend,
    pause,
    resume,
    right_of,
)
from dsar.law_packs import UnknownRight
from kaireon.lib.clock import at
from tests.dsar.test_deadlines import ZULU, received_on

RECEIVED = "2026-03-02"  # a Monday
LATER = at("2026-03-12T12:00")  # ten days after
EUROPEAN = [right for right in Right if right is not Right.GRIEVANCE]
OF_12A = "UK GDPR Art. 12"


def clock(regulation: str, right: Right = Right.ACCESS, received: str = RECEIVED):
    return clock_for(regulation, received_on(received), ZULU, right=right)


def rule(of, name: str):
    [found] = [row for row in of.rules if row.rule == name]
    return found


@pytest.mark.parametrize("right", EUROPEAN)
def test_gdpr_art_12_3_gives_a_month_for_every_right_and_three_in_all(right):
    times = clock("gdpr", right)

    assert (times.due, times.extended_due) == (date(2026, 4, 2), date(2026, 6, 2))
    assert rule(times, "respond").article == rule(times, "extend").article == "GDPR Art. 12(3)"
    assert rule(times, "right").article.startswith("GDPR Art. ")


@pytest.mark.parametrize("right", EUROPEAN)
def test_uk_gdpr_art_12a_1_and_3_give_a_month_and_two_more(right):
    times = clock("uk_gdpr", right)

    assert (times.due, times.extended_due) == (date(2026, 4, 2), date(2026, 6, 2))
    assert rule(times, "respond").article == "UK GDPR Art. 12(3), 12A(1)"
    assert rule(times, "extend").article == "UK GDPR Art. 12A(3), 12A(4)"


def test_dpa_2018_s_164a_wants_a_complaint_confirmed_within_30_days():
    times = clock("uk_gdpr", Right.GRIEVANCE)

    assert times.acknowledge_by == date(2026, 4, 1)
    confirmed = rule(times, "acknowledge")
    assert confirmed.article == (
        "Data Protection Act 2018 s. 164A(3); ICO, How to deal with data protection complaints"
    )
    # Received on 2 March: the 30 days start on the 3rd, as the ICO counts "beginning when the complaint is received".
    assert confirmed.effect.endswith("by 2026-04-01. The 30 days start the day after the complaint was received.")
    with pytest.raises(ExtensionRefused, match=r"no extension of 1 month. \(Data Protection Act 2018 s\. 164A\(4\)\)"):
        extend(times, LATER, "Complex.")


@pytest.mark.parametrize("right", [Right.ACCESS, Right.PORTABILITY, Right.ERASURE, Right.RECTIFICATION])
def test_11_ccr_7021_gives_45_days_90_in_all_and_wants_receipt_confirmed_in_ten_business_days(right):
    times = clock("ccpa", right)

    assert (times.due, times.extended_due) == (date(2026, 4, 16), date(2026, 5, 31))
    assert "11 CCR § 7021(b)" in rule(times, "respond").article
    assert times.acknowledge_by == date(2026, 3, 16)
    assert rule(times, "acknowledge").article == "11 CCR § 7021(a)"


@pytest.mark.parametrize(
    ("right", "article"),
    [
        (Right.OPT_OUT, "11 CCR § 7026(f)"),
        (Right.OBJECTION, "11 CCR § 7026(f)"),
        (Right.RESTRICTION, "11 CCR § 7027(g)"),
    ],
)
def test_11_ccr_7026_f_and_7027_g_give_15_business_days_and_no_more(right, article):
    times = clock("ccpa", right)

    assert (times.due, times.extended_due, times.acknowledge_by) == (date(2026, 3, 23), None, None)
    assert rule(times, "respond").article == article
    assert rule(times, "extend").effect == "The law names no extension."
    with pytest.raises(ExtensionRefused, match="15 business days") as e:
        extend(times, LATER, "Complex.")
    assert e.value.article == article


def test_business_days_of_11_ccr_7026_f_leave_out_holidays():
    holiday = {date(2026, 3, 23), date(2026, 3, 24)}

    assert clock_for("ccpa", received_on(RECEIVED), ZULU, right=Right.OPT_OUT, holidays=holiday).due == date(
        2026, 3, 25
    )


@pytest.mark.parametrize("right", [Right.ACCESS, Right.RECTIFICATION, Right.ERASURE, Right.OPT_OUT])
def test_dpdp_rules_r_14_has_a_ceiling_of_90_days_within_which_30_are_the_default(right):
    times = clock("dpdpa", right)

    assert (times.due, times.extended_due) == (date(2026, 4, 1), date(2026, 5, 31))
    assert "DPDP Rules 2025 r. 14" in rule(times, "respond").article
    assert "default" in rule(times, "respond").article


def test_dpdp_rules_r_14_3_gives_a_grievance_90_days_and_no_more():
    times = clock("dpdpa", Right.GRIEVANCE)

    assert (times.due, times.extended_due) == (date(2026, 5, 31), None)
    assert rule(times, "right").article == "DPDP Act 2023 s. 13"
    with pytest.raises(ExtensionRefused, match=r"r\. 14\(3\)"):
        extend(times, LATER, "Complex.")


@pytest.mark.parametrize("right", EUROPEAN)
def test_gdpr_art_12_6_suspends_for_who_asks_and_leaves_out_the_days_after_asking(right):
    times = resume(pause(clock("gdpr", right), LATER, Ground.IDENTITY, "Asked."), LATER + timedelta(days=5))

    assert times.deadline == date(2026, 4, 7)
    assert times.rules[-1].article == "GDPR Art. 12(6); EDPB Guidelines 01/2022 (version 2.1) section 5.3"
    assert times.rules[-1].effect == "Ran again on 2026-03-17: due by 2026-04-07."


def test_gdpr_recital_63_suspends_for_what_is_meant_by_access_alone():
    times = resume(pause(clock("gdpr"), LATER, Ground.CLARIFICATION, "Asked."), LATER + timedelta(days=5))

    assert times.deadline == date(2026, 4, 7)
    assert "Recital 63" in times.rules[-1].article
    with pytest.raises(PauseRefused, match=r"GDPR Art\. 12\(3\)"):
        pause(clock("gdpr", Right.ERASURE), LATER, Ground.CLARIFICATION, "Asked.")


@pytest.mark.parametrize(
    ("ground", "article"),
    [(Ground.IDENTITY, "UK GDPR Art. 12(6), 12A(2)(b)"), (Ground.FEE, "UK GDPR Art. 12(5), 12A(2)(c)")],
)
@pytest.mark.parametrize("right", EUROPEAN)
def test_uk_gdpr_art_12a_2_begins_the_month_with_what_came_last(right, ground, article):
    times = resume(pause(clock("uk_gdpr", right), LATER, ground, "Asked."), at("2026-03-31T12:00"))

    assert (times.deadline, times.extended_due) == (date(2026, 4, 30), date(2026, 6, 30))
    assert times.rules[-1].article == article
    with pytest.raises(PauseRefused, match=OF_12A):
        pause(clock("uk_gdpr", Right.GRIEVANCE), LATER, ground, "Asked.")


def test_uk_gdpr_art_12a_5_leaves_out_the_days_of_asking_and_of_the_answer():
    times = resume(pause(clock("uk_gdpr"), LATER, Ground.CLARIFICATION, "Asked."), LATER + timedelta(days=5))

    assert times.deadline == date(2026, 4, 8)
    assert extend(times, LATER + timedelta(days=6), "Complex.").deadline == date(2026, 6, 8)
    for right in (Right.PORTABILITY, Right.ERASURE):
        with pytest.raises(PauseRefused, match=OF_12A):
            pause(clock("uk_gdpr", right), LATER, Ground.CLARIFICATION, "Asked.")


def test_uk_gdpr_art_12a_4_wants_the_notice_before_the_end_of_a_month_that_pauses_move():
    times = resume(pause(clock("uk_gdpr"), LATER, Ground.FEE, "Asked."), at("2026-03-31T12:00"))

    longer = extend(times, at("2026-04-30T23:59"), "Complex.")
    assert longer.deadline == date(2026, 6, 30)
    assert rule(longer, "notice").effect.endswith("by 2026-04-30.")
    with pytest.raises(ExtensionRefused, match=r"12A\(4\)"):
        extend(times, at("2026-05-01T00:00"), "Complex.")


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("ground", Ground)
@pytest.mark.parametrize(
    ("regulation", "article"), [("ccpa", "11 CCR § 7021(b)"), ("dpdpa", "DPDP Rules 2025 r. 14(3)")]
)
def test_nothing_stops_the_clocks_of_11_ccr_7021_b_and_of_r_14_3(regulation, article, ground, right):
    times = clock(regulation, right)

    assert rule(times, "no_pause").article == article
    with pytest.raises(PauseRefused) as e:
        pause(times, LATER, ground, "Asked.")
    assert e.value.article == article


@pytest.mark.parametrize(
    ("regulation", "article"),
    [
        ("gdpr", "1182/71 Art. 3(4)"),
        ("uk_gdpr", "ICO, A guide to subject access"),
        ("ccpa", "Cal. Civ. Proc. Code § 12a"),
        ("dpdpa", "General Clauses Act 1897 s. 10"),
    ],
)
def test_each_law_says_by_which_article_a_time_rolls_to_a_working_day(regulation, article):
    day = clock(regulation).due
    rolled = clock_for(regulation, received_on(RECEIVED), ZULU, holidays={day}, roll=True)

    assert rolled.due > day
    assert article in rule(rolled, "roll").article


@pytest.mark.parametrize("regulation", LAWS)
def test_each_pack_has_a_version_by_date_and_says_how_it_counts(regulation):
    law = LAWS[regulation]

    assert date.fromisoformat(law.version) < date(2027, 1, 1)
    assert rule(clock(regulation), "received").article == law.counting_article


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("export", "access"),
        ("delete", "erasure"),
        ("opt-out", "opt_out"),
        *((str(right), str(right)) for right in Right),
    ],
)
def test_kinds_of_requests_are_rights(name, right):
    assert right_of(name) == right


@pytest.mark.parametrize("name", ["", "EXPORT", "everything", "export "])
def test_what_is_no_right_is_refused(name):
    with pytest.raises(UnknownRight, match="access, portability"):
        right_of(name)


def test_a_law_that_names_no_such_right_answers_it_in_its_general_time():
    times = clock("gdpr", Right.GRIEVANCE)

    assert times.due == clock("gdpr").due
    assert "right" not in {row.rule for row in times.rules}
    assert times.received == datetime(2026, 3, 2, 12, tzinfo=UTC)
