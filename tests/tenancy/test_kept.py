"""A kept query answers as one that is composed anew, for whoever asks: the first lock holds for it too."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import NoActiveTenant, OutsideTransaction, transaction
from kaireon.tenancy.kept import Kept, NotKept, among
from kaireon.tenancy.models import ApiKey, IdempotencyKey, Tenant, User
from tests.cast import ACME, ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")


def remember(principal: str, key: str = "one") -> IdempotencyKey:
    row = IdempotencyKey(principal=principal, key=key, fingerprint=principal, answer=b"\x00\xff")
    row.locked_until = row.expires_at = clock.now() + timedelta(days=1)
    row.save(force_insert=True)
    return row


def test_it_gives_what_the_orm_gives_for_each_tenant() -> None:
    kept = Kept(lambda key: IdempotencyKey.objects.filter(pk=key), key=UUID)
    rows = {}
    for person in (ADA, MALLORY):
        with person.here(), transaction():
            rows[person] = remember("one of ours")
    for person, other in ((ADA, MALLORY), (MALLORY, ADA), (ADA, MALLORY)):
        with person.here(), transaction():
            [mine] = kept.all(key=rows[person].pk)
            fresh = IdempotencyKey.objects.get(pk=rows[person].pk)
            assert type(mine) is IdempotencyKey
            columns = [column.attname for column in fresh._meta.concrete_fields]
            assert [getattr(mine, c) for c in columns] == [getattr(fresh, c) for c in columns]
            assert kept.all(key=rows[other].pk) == []
            assert kept.first(key=rows[other].pk) is None
            mine.fingerprint = "changed"
            mine.save()
            assert IdempotencyKey.objects.get(pk=mine.pk).fingerprint == "changed"


def test_it_is_composed_once() -> None:
    calls = []

    def compose(key: UUID) -> object:
        calls.append(key)
        return IdempotencyKey.objects.filter(pk=key)

    kept = Kept(compose, key=UUID)  # type: ignore[arg-type]
    with ADA.here(), transaction():
        for _ in range(3):
            assert kept.all(key=uuid4()) == []
    assert len(calls) == 1


def test_without_a_scope_or_a_transaction_it_is_refused() -> None:
    kept = Kept(lambda: ApiKey.objects.order_by("pk"))
    with ADA.here(), transaction():
        kept.all()
    with pytest.raises(OutsideTransaction), ADA.here():
        kept.all()
    with pytest.raises((NoActiveTenant, OutsideTransaction)):
        kept.all()


@pytest.mark.parametrize("first", [ADA, MALLORY], ids=["acme", "globex"])
def test_a_word_that_is_also_a_tenants_name_stays_what_it_is(first: object) -> None:
    kept = Kept(lambda: IdempotencyKey.objects.filter(principal=ACME).values_list("key"))
    for person in (ADA, MALLORY):
        with person.here(), transaction():
            remember(ACME, "acme's")
            remember(GLOBEX, "globex's")
    with first.here(), transaction():  # type: ignore[attr-defined]
        assert kept.values() == [("acme's",)]
    with MALLORY.here(), transaction():
        assert kept.values() == [("acme's",)]


def test_values_and_columns_left_out_are_as_asked_for() -> None:
    named = Kept(lambda who: IdempotencyKey.objects.filter(principal=who).values_list("key", "answer"), who=str)
    few = Kept(lambda who: IdempotencyKey.objects.filter(principal=who).only("tenant", "key"), who=str)
    any_of = Kept(lambda who: IdempotencyKey.objects.filter(principal=who).values_list("pk")[:1], who=str)
    with ADA.here(), transaction():
        remember("x")
        [(key, answer)] = named.values(who="x")
        assert (key, bytes(answer)) == ("one", b"\x00\xff")
        [row] = few.all(who="x")
        assert row.get_deferred_fields() == {f.attname for f in row._meta.concrete_fields} - {"id", "tenant_id", "key"}
        assert row.fingerprint == "x"
        assert (any_of.is_any(who="x"), any_of.is_any(who="y")) == (True, False)


@pytest.mark.parametrize(
    "kept",
    [
        Kept(lambda who: IdempotencyKey.objects.all(), who=str),
        Kept(User.objects.all),
        Kept(lambda: ApiKey.objects.select_related("tenant")),
        Kept(Tenant.objects.all),
    ],
    ids=["a value that is not asked for", "no tenant's rows", "joined rows", "tenants"],
)
def test_what_cannot_be_kept_says_so(kept: Kept[IdempotencyKey]) -> None:
    with pytest.raises(NotKept), ADA.here(), transaction():
        kept.all(**dict.fromkeys(kept._values, "x"))


def test_a_statement_that_is_sent_while_it_is_composed_finds_nothing() -> None:
    with ADA.here(), transaction():
        remember("x")
        with context.composing():
            assert not IdempotencyKey.objects.exists()
        assert IdempotencyKey.objects.count() == 1


def test_it_finds_what_is_one_of_many_texts() -> None:
    kept = Kept(
        lambda keys: IdempotencyKey.objects.filter(among("tenancy_idempotencykey.key", keys)).order_by("key"), keys=list
    )
    with ADA.here(), transaction():
        for key in ("a", "%s", "c"):
            remember("one of ours", key)
        assert [row.key for row in kept.all(keys=["c", "%s", "nobody's"])] == ["%s", "c"]
        assert kept.all(keys=[]) == []
    with MALLORY.here(), transaction():
        assert kept.all(keys=["a", "c"]) == []
