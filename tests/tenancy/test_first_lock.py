"""The first lock: whatever a queryset is asked, it answers for the active tenant or not at all."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.db.models import Count, F, Prefetch, Q, QuerySet, Subquery

from kaireon.tenancy.context import NoActiveTenant, OutsideTransaction, WrongTenant, transaction
from kaireon.tenancy.models import ApiKey, IdempotencyKey, Membership, TenantModel, User
from kaireon.tenancy.roles import Role
from tests.cast import ACME, ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")

Keys = QuerySet[ApiKey]


async def _listed(rows: Keys) -> list[ApiKey]:
    return [row async for row in rows]


# Every way a queryset reaches the database, by name.
WAYS: dict[str, Callable[[Keys], Any]] = {
    "list": list,
    "len": len,
    "bool": bool,
    "index": lambda q: q[0],
    "slice": lambda q: list(q[:2]),
    "iterator": lambda q: list(q.iterator(chunk_size=1)),
    "get": lambda q: q.get(prefix="ada"),
    "first": lambda q: q.first(),
    "last": lambda q: q.order_by("prefix").last(),
    "earliest": lambda q: q.earliest("created_at"),
    "latest": lambda q: q.latest("created_at"),
    "exists": lambda q: q.exists(),
    "contains": lambda q: q.contains(ApiKey(tenant_id=ACME)),
    "count": lambda q: q.count(),
    "explain": lambda q: q.explain(),
    "aggregate": lambda q: q.aggregate(n=Count("pk")),
    "annotate": lambda q: list(q.annotate(n=Count("pk")).values("n")),
    "values": lambda q: list(q.values("name")),
    "values_list": lambda q: list(q.values_list("name", flat=True)),
    "dates": lambda q: list(q.dates("created_at", "day")),
    "datetimes": lambda q: list(q.datetimes("created_at", "hour")),
    "distinct": lambda q: list(q.order_by("role").distinct("role")),
    "in_bulk": lambda q: q.in_bulk(["ada"], field_name="prefix"),
    "union": lambda q: list(q.union(q)),
    "intersection": lambda q: list(q.intersection(q)),
    "difference": lambda q: list(q.difference(q.filter(prefix="ada"))),
    "subquery": lambda q: list(ApiKey.objects.filter(pk__in=q.values("pk"))),
    "nested expression": lambda q: list(ApiKey.objects.annotate(o=Subquery(q.values("pk")[:1]))),
    "exclude": lambda q: list(q.exclude(prefix="ada")),
    "or": lambda q: list(q.filter(Q(prefix="ada") | Q(prefix="mallory"))),
    "combined": lambda q: list(q.filter(prefix="ada") | q.filter(prefix="vi")),
    "extra": lambda q: list(q.extra(where=["true"])),
    "only": lambda q: list(q.only("name")),
    "select_related": lambda q: list(q.select_related("tenant")),
    "select_for_update": lambda q: list(q.select_for_update()),
    "async iteration": lambda q: asyncio.run(_listed(q)),
    "async count": lambda q: asyncio.run(q.acount()),
    "async exists": lambda q: asyncio.run(q.aexists()),
    "update": lambda q: q.update(name="taken"),
    "update by expression": lambda q: q.update(name=F("prefix")),
    "update_or_create": lambda q: q.update_or_create(prefix="ada", defaults={"name": "taken"}),
    "get_or_create": lambda q: q.get_or_create(prefix="ada", defaults={"name": "taken"}),
    "bulk_update": lambda q: q.bulk_update([ApiKey(tenant_id=ACME, name="taken")], ["name"]),
}


def leaks(queryset: Keys, *refusals: type[Exception]) -> list[str]:
    """The ways that were not refused."""
    found = []
    for way, ask in WAYS.items():
        try:
            ask(queryset.all())
        except refusals:
            continue
        except Exception as error:  # noqa: BLE001  whatever else happened, it was not refused
            found.append(f"{way}: {type(error).__name__}")
        else:
            found.append(way)
    return found


def test_it_refuses_a_queryset_of_another_tenant() -> None:
    with ADA.here(), transaction():
        stale = ApiKey.objects.all()

    for way, ask in WAYS.items():
        with MALLORY.here(), pytest.raises(WrongTenant), transaction():
            ask(stale.all())
            pytest.fail(way)


def test_it_refuses_a_queryset_after_its_scope() -> None:
    with ADA.here(), transaction():
        stale = ApiKey.objects.all()

    assert leaks(stale, NoActiveTenant, WrongTenant) == []


def test_it_refuses_a_queryset_outside_a_transaction() -> None:
    with ADA.here():
        assert leaks(ApiKey.objects.all(), OutsideTransaction) == []


def test_it_refuses_to_delete_another_tenants_rows() -> None:
    with ADA.here(), transaction():
        stale = IdempotencyKey.objects.all()

    with MALLORY.here(), transaction(), pytest.raises(WrongTenant):
        stale.delete()


def test_it_knows_no_queryset_without_a_tenant() -> None:
    for manager in (ApiKey.objects, ApiKey._default_manager, ApiKey._base_manager, Membership.objects):
        with pytest.raises(NoActiveTenant):
            manager.all()


def test_it_refuses_raw_queries() -> None:
    with ADA.here(), transaction():
        for source in (ApiKey.objects, ApiKey.objects.all()):
            with pytest.raises(WrongTenant, match="cursor"):
                source.raw("SELECT * FROM tenancy_apikey")


def test_it_counts_and_lists_the_active_tenants_rows_only() -> None:
    with ADA.here(), transaction():
        assert ApiKey.objects.count() == 4
    with MALLORY.here(), transaction():
        assert [key.prefix for key in ApiKey.objects.all()] == ["mallory"]
        assert not ApiKey.objects.filter(prefix="ada").exists()
        assert ApiKey.objects.aggregate(n=Count("pk")) == {"n": 1}
        assert ApiKey.objects.filter(Q(prefix="ada") | Q(tenant=ACME)).count() == 0


def test_it_refuses_a_stale_queryset_inside_another_query() -> None:
    with ADA.here(), transaction():
        stale = ApiKey.objects.values("pk")

    with MALLORY.here(), transaction():
        for query in (
            Membership.objects.filter(pk__in=stale),
            Membership.objects.annotate(other=Subquery(stale[:1])),
            ApiKey.objects.union(stale),
            User.objects.filter(pk__in=stale),
        ):
            with pytest.raises((WrongTenant, TypeError)):
                list(query)


def test_it_does_not_combine_querysets_of_two_tenants() -> None:
    with ADA.here(), transaction():
        stale = ApiKey.objects.all()

    with MALLORY.here(), transaction(), pytest.raises(WrongTenant):
        list(ApiKey.objects.all() | stale)


class TestWrites:
    def test_it_refuses_to_insert_for_another_tenant(self) -> None:
        with MALLORY.here():
            for make in (
                lambda: ApiKey.objects.create(tenant_id=ACME, name="x", prefix="x", secret_hash="x"),
                lambda: ApiKey(tenant_id=ACME, name="x", prefix="x", secret_hash="x").save(),
                lambda: ApiKey(tenant_id=ACME, name="x", prefix="x", secret_hash="x").save(force_insert=True),
                lambda: ApiKey.objects.bulk_create([ApiKey(tenant_id=ACME, name="x", prefix="x", secret_hash="x")]),
                lambda: ApiKey.objects.get_or_create(prefix="x", defaults={"tenant_id": ACME}),
                lambda: ApiKey.objects.update_or_create(prefix="x", defaults={"tenant_id": ACME}),
                lambda: MALLORY.user.memberships.create(tenant_id=ACME, role=Role.ADMIN),
            ):
                with pytest.raises(WrongTenant), transaction():
                    make()

    def test_it_refuses_one_foreign_row_in_a_batch(self) -> None:
        with MALLORY.here(), pytest.raises(WrongTenant), transaction():
            ApiKey.objects.bulk_create(
                [
                    ApiKey(name="mine", prefix="mine", secret_hash="x"),
                    ApiKey(name="theirs", prefix="theirs", secret_hash="x", tenant_id=ACME),
                ]
            )
        with MALLORY.here(), transaction():
            assert ApiKey.objects.count() == 1

    def test_it_refuses_to_save_or_delete_a_foreign_instance(self) -> None:
        with ADA.here(), transaction():
            key = ApiKey.objects.get(prefix="ada")
        for write in (key.save, key.delete, lambda: key.save(update_fields=["name"])):
            with MALLORY.here(), transaction(), pytest.raises(WrongTenant):
                write()
            with pytest.raises(NoActiveTenant):
                write()

    def test_it_refuses_a_foreign_instance_in_a_bulk_update(self) -> None:
        with ADA.here(), transaction():
            key = ApiKey.objects.get(prefix="ada")
        key.name = "taken"
        with MALLORY.here(), transaction(), pytest.raises(WrongTenant):
            ApiKey.objects.bulk_update([key], ["name"])

    def test_it_never_moves_a_row_to_another_tenant(self) -> None:
        with ADA.here(), transaction():
            key = ApiKey.objects.get(prefix="ada")
            for move in (
                lambda: ApiKey.objects.update(tenant=GLOBEX),
                lambda: ApiKey.objects.update(tenant_id=GLOBEX),
                lambda: ApiKey.objects.bulk_update([_moved(key)], ["tenant"]),
                lambda: _moved(key).save(),
            ):
                with pytest.raises(WrongTenant), transaction():
                    move()

    def test_it_writes_outside_a_transaction_never(self) -> None:
        with ADA.here():
            with pytest.raises(OutsideTransaction):
                ApiKey.objects.create(name="x", prefix="x", secret_hash="x")
            with pytest.raises(OutsideTransaction):
                ApiKey.objects.bulk_create([ApiKey(name="x", prefix="x", secret_hash="x")])

    def test_it_deletes_an_instance_outside_a_transaction_never(self) -> None:
        with ADA.here(), transaction():
            membership = Membership.objects.first()
        assert membership is not None
        with ADA.here(), pytest.raises(OutsideTransaction):
            membership.delete()

    def test_it_fills_the_tenant_in_from_the_scope(self) -> None:
        with ADA.here(), transaction():
            assert ApiKey.objects.create(name="x", prefix="x", secret_hash="x").tenant_id == ACME
        with pytest.raises(NoActiveTenant):
            ApiKey(name="x")


def _moved(key: ApiKey) -> ApiKey:
    return ApiKey(pk=key.pk, tenant_id=GLOBEX, name=key.name, prefix=key.prefix, secret_hash=key.secret_hash)


class TestRelations:
    def test_it_binds_a_related_manager(self) -> None:
        ada = ADA.user
        with ADA.here(), transaction():
            assert ada.memberships.count() == 1
            memberships = ada.memberships.all()
        with MALLORY.here(), transaction():
            assert ada.memberships.count() == 0
            with pytest.raises(WrongTenant):
                list(memberships)
        with pytest.raises(NoActiveTenant):
            ada.memberships.all()

    def test_it_binds_a_prefetch_from_a_model_without_tenant(self) -> None:
        with MALLORY.here(), transaction():
            people = {u.name: list(u.memberships.all()) for u in User.objects.prefetch_related("memberships")}
        assert [name for name, rows in people.items() if rows] == ["Mallory"]

        with pytest.raises(NoActiveTenant):
            list(User.objects.prefetch_related("memberships"))

    def test_it_refuses_a_stale_prefetch(self) -> None:
        with ADA.here(), transaction():
            stale = Prefetch("memberships", queryset=Membership.objects.all())
        with MALLORY.here(), transaction(), pytest.raises(WrongTenant):
            list(User.objects.prefetch_related(stale))

    def test_it_does_not_answer_through_a_join_from_a_model_without_tenant(self) -> None:
        with MALLORY.here(), transaction():
            assert [u.name for u in User.objects.filter(memberships__role=Role.ADMIN)] == ["Mallory"]
            assert User.objects.aggregate(n=Count("memberships"))["n"] == 1

    def test_it_refreshes_in_its_own_tenant_only(self) -> None:
        with ADA.here(), transaction():
            key = ApiKey.objects.get(prefix="ada")
            key.refresh_from_db()
        with MALLORY.here(), transaction(), pytest.raises(ApiKey.DoesNotExist):
            key.refresh_from_db()
        with pytest.raises(NoActiveTenant):
            key.refresh_from_db()

    def test_it_loads_a_deferred_field_in_its_own_tenant_only(self) -> None:
        with ADA.here(), transaction():
            key = ApiKey.objects.only("prefix").get(prefix="ada")
        with MALLORY.here(), transaction(), pytest.raises(ApiKey.DoesNotExist):
            _ = key.name

    def test_it_offers_no_foreign_choice_in_a_form(self) -> None:
        class Choose(forms.Form):
            key = forms.ModelChoiceField(queryset=None)  # type: ignore[arg-type]

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.fields["key"].queryset = ApiKey.objects.all()  # type: ignore[attr-defined]

        with ADA.here(), transaction():
            acmes = ApiKey.objects.get(prefix="ada")
            stale = Choose()
        with MALLORY.here(), transaction():
            assert "mallory" in str(Choose()["key"])
            assert str(acmes.pk) not in str(Choose()["key"])
            assert not Choose({"key": str(acmes.pk)}).is_valid()
            with pytest.raises(WrongTenant):
                str(stale["key"])

    def test_it_validates_uniqueness_within_the_tenant(self) -> None:
        ada = ADA.user
        with ADA.here(), transaction():
            membership = Membership(user=ada, role=Role.VIEWER)
            with pytest.raises(Exception, match="already exists"):
                membership.full_clean()
        with MALLORY.here(), transaction():
            Membership(user=ada, role=Role.VIEWER).full_clean()


def test_it_gives_every_tenant_model_a_bound_manager() -> None:
    from kaireon.tenancy.managers import TenantManager, TenantQuerySet

    models = [m for m in _subclasses(TenantModel) if not m._meta.abstract]
    assert ApiKey in models
    for model in models:
        assert isinstance(model._base_manager, TenantManager), model
        assert isinstance(model._default_manager, TenantManager), model
        for manager in model._meta.managers:
            assert isinstance(manager, TenantManager), (model, manager.name)
            assert issubclass(manager._queryset_class, TenantQuerySet), (model, manager.name)


def _subclasses(model: type[TenantModel]) -> list[type[TenantModel]]:
    return [found for child in model.__subclasses__() for found in (child, *_subclasses(child))]
