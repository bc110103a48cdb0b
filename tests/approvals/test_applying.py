"""A yes that came to nothing: what breaks, what cannot be done any more, who may not any more."""

import pytest

from kaireon.approvals import registry, services
from kaireon.approvals.models import ApprovalVote, State
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.tenancy import keys, members
from kaireon.tenancy.context import Actor, transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Permission, Role
from tests.approvals.conftest import BEA, CY, NOON, TWO_STAGES, again, ask, decide
from tests.cast import ADA, ED


def test_a_verb_that_breaks_takes_the_yes_back(admins, verb):
    def apply(payload):
        User.objects.filter(pk=ED.user.pk).update(name="Half done")
        raise ZeroDivisionError

    verb(apply=apply)
    row = ask()
    with pytest.raises(ZeroDivisionError):
        decide(row, BEA)
    assert again(row).state == State.PENDING
    assert ED.user.name == "Ed"
    with ADA.here(), transaction():
        assert not ApprovalVote.objects.exists()


def test_what_cannot_be_done_any_more_fails_and_says_why(admins, verb):
    def apply(payload):
        User.objects.filter(pk=ED.user.pk).update(name="Half done")
        raise NotApplicable("gone_meanwhile")

    verb(apply=apply)
    row = decide(ask(), BEA)
    assert (row.state, row.error, again(row).error) == (State.FAILED, "gone_meanwhile", "gone_meanwhile")
    assert ED.user.name == "Ed"
    with ADA.here(), transaction():
        assert not ApprovalVote.objects.exists()


def test_who_asked_must_still_be_allowed_to(admins, verb):
    done = verb(permission=Permission.MANAGE_RETENTION)
    row = ask()
    with BEA.here(), transaction():
        Membership.objects.filter(user=ADA.user).update(role=Role.VIEWER)
    assert decide(row, BEA).error == "requester_lost_permission"
    assert done == []


def test_a_key_that_was_revoked_asks_for_nothing(admins, verb):
    verb()
    with ADA.here(), transaction():
        key, _ = keys.create_key(name="one", role=Role.ADMIN, actor=ADA.actor)
        row = services.ask(
            verb="test.do", payload={}, actor=Actor(id=str(key.pk), name="one", type="api_key"), now=NOON
        )
        keys.revoke_key(key=key, now=NOON)
    assert decide(row, BEA).error == "requester_lost_permission"


def test_the_yes_of_who_lost_the_role_does_not_count(admins, verb):
    done = verb(stages=(Stage(role=Role.ADMIN, yes=2),))
    row = ask()
    decide(row, BEA)
    with ADA.here(), transaction():
        members.change_role(membership_id=Membership.objects.get(user=BEA.user).pk, role=Role.VIEWER)
    assert decide(row, CY).state == State.PENDING
    assert done == []


def test_an_account_that_was_closed_says_nothing(admins, verb):
    verb()
    row = ask()
    with ADA.here(), transaction():
        User.objects.filter(pk=BEA.user.pk).update(is_active=False)
    with pytest.raises(services.NotAsked):
        decide(row, BEA)


def test_a_verb_nobody_knows_any_more_is_not_applied(admins, verb, monkeypatch):
    verb()
    row = ask()
    monkeypatch.setattr(registry, "_verbs", {})
    assert decide(row, BEA).error == "unknown_verb"
    with pytest.raises(registry.UnknownVerb):
        ask()


def test_a_verb_that_asks_others_now_is_not_applied(admins, verb):
    verb()
    row = ask()
    verb(stages=TWO_STAGES)
    assert decide(row, BEA).error == "stages_changed"
