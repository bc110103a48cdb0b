"""Verbs are declared once, with stages that somebody can pass."""

import pytest

from kaireon.approvals import registry
from kaireon.approvals.registry import Stage
from kaireon.tenancy.roles import Permission, Role


def test_stages_that_nobody_can_pass_are_refused_when_they_are_declared():
    for parts in ({"role": Role.VIEWER}, {"permission": Permission.MANAGE_KEYS, "yes": 0}, {}, {"role": "nonsense"}):
        with pytest.raises(registry.StageNeverPassed):
            Stage(**parts)
    with pytest.raises(registry.StageNeverPassed):
        registry.approved("x", title="X", permission=Permission.READ_TENANT, describe=lambda p: "", stages=())


def test_two_verbs_of_one_name_are_refused(verb):
    verb()
    with pytest.raises(registry.VerbTaken):
        registry.approved(
            "test.do",
            title="X",
            permission=Permission.READ_TENANT,
            describe=lambda p: "",
            stages=(Stage(role=Role.ADMIN),),
        )(lambda payload: None)


def test_what_no_member_asks_for_is_never_one_persons_to_decide(verb):
    with pytest.raises(registry.OneAlone):
        verb(by_nobody=True)
    verb(by_nobody=True, stages=(Stage(role=Role.ADMIN, yes=2),))
    verb(by_nobody=True, stages=(Stage(role=Role.ADMIN), Stage(permission=Permission.MANAGE_DSAR)))
