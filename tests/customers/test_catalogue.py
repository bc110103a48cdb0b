"""The catalogue is complete, true to the tables, and what it selects is what it says."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models

from customers import bulk, catalogue
from customers.catalogue import CATALOGUE, DATA_CLASSES, Erasure, entity
from customers.exempt import EXEMPT
from customers.management.commands import catalogue_page
from customers.models import Customer, Delivery, DynamicRow, DynamicSchema, IdentityLink, JourneyEnrollment
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import TenantModel
from tests.cast import ADA, MALLORY
from tests.customers.conftest import NOW, bring, consent, customer, purchase

APPS = ("customers", "dsar")
PERSONAL_LOOKING = re.compile(
    r"e?mail$|phone|(^|_)name$|birth|address|destination|attributes|(^|_)value$|subject_(id|sealed)|context|inputs"
)
# Columns that look personal and are not, by what they are.
NAMES_OF_THINGS = {
    "customers.DynamicSchema.name",
    "customers.ObjectRemoval.object_name",
    "customers.ExportBatch.object_name",
    "dsar.ErasureStep.name",
    "dsar.Recipient.name",
    "dsar.Recipient.destination_id",
}
# A member in office, who acts for the tenant.
IN_OFFICE = {
    "customers.ErasedSubject.released_by_name",
    "customers.RetrainSchedule.served_by_name",
    "dsar.DsarRequest.requested_by_name",
    "dsar.DsarRequest.assigned_name",
}


def tenant_models() -> list[type[TenantModel]]:
    return [m for app in APPS for m in apps.get_app_config(app).get_models() if issubclass(m, TenantModel)]


@pytest.mark.parametrize("model", tenant_models(), ids=lambda m: m._meta.label)
def test_every_table_is_catalogued_or_exempt_for_a_reason(model):
    catalogued = {e.model for e in CATALOGUE}
    label = model._meta.label
    assert (label in catalogued) != (label in EXEMPT)


@pytest.mark.parametrize("model", tenant_models(), ids=lambda m: m._meta.label)
def test_every_column_that_looks_personal_is_declared_so(model):
    label = model._meta.label
    declared = {c for e in CATALOGUE if e.model == label for c in (*e.personal, *e.hidden)}
    looking = {
        f.attname
        for f in model._meta.concrete_fields
        if PERSONAL_LOOKING.search(f.attname) and f"{label}.{f.attname}" not in NAMES_OF_THINGS | IN_OFFICE
    }
    assert looking <= declared


@pytest.mark.parametrize("described", CATALOGUE, ids=lambda e: e.name)
def test_what_an_entity_names_exists(described):
    columns = {f.attname: f for f in described.model_class._meta.concrete_fields}
    assert {described.subject, *described.personal, *described.hidden, *described.masks} <= set(columns)
    assert isinstance(columns[described.clock], models.DateTimeField)
    assert set(described.masks) <= set(described.personal)
    assert described.data_class in {*DATA_CLASSES, ""}


def test_names_are_unique_and_sections_but_for_what_is_derived_from_interactions():
    assert len({e.name for e in CATALOGUE}) == len(CATALOGUE)
    shared = {e.section: [one.name for one in catalogue.shown_in(e.section)] for e in CATALOGUE if e.section}
    assert {section: names for section, names in shared.items() if len(names) > 1} == {
        "summaries": ["interactionSummary", "engagementHealth"]
    }


def test_the_profile_goes_last_and_identity_links_just_before():
    assert [e.name for e in CATALOGUE][-2:] == ["identityLink", "customer"]


def test_nothing_exempt_was_forgotten_after_its_model_went():
    assert set(EXEMPT) <= {m._meta.label for m in tenant_models()}


def test_dsar_purge_looks_at_three_classes_only():
    swept = {e.data_class for e in CATALOGUE if catalogue.DSAR_PURGE in e.swept_by}
    assert swept == {"interactions", "decisions", "attachments"}


def test_the_page_says_what_the_code_does(tmp_path, settings):
    settings.BASE_DIR = tmp_path
    with pytest.raises(CommandError, match="out of date"):
        call_command("catalogue_page", check=True)
    call_command("catalogue_page", verbosity=0)
    call_command("catalogue_page", check=True)
    for described in CATALOGUE:
        assert f"`{described.name}`" in catalogue_page.page()


def test_the_page_in_docs_is_current():
    call_command("catalogue_page", check=True)


def test_rows_for_a_dossier_are_json_with_camel_case_names(ada):
    found = customer(name="Zoë", email="Zoe@Example.com", birthDate="1980-02-29", attributes={"tier": 1})
    bring("interactions", purchase("o-1"))
    with transaction():
        [profile] = entity("customer").rows_for_dossier(found.pk)
        [interaction] = entity("interactionHistory").rows_for_dossier(found.pk)
    assert profile["customerId"] == "c-1"
    assert (profile["email"], profile["birthDate"]) == ("zoe@example.com", "1980-02-29")
    assert not {"tenantId", "nameKey"} & set(profile)
    assert interaction["amount"] == "11.7700"
    assert interaction["occurredAt"] == "2026-01-10T10:00:00.000000Z"
    assert "customerId" not in interaction


def test_an_entity_gives_nothing_of_another_tenant(db):
    with MALLORY.here():
        hers = customer()
        bring("interactions", purchase("o-1"))
        bring("consents", consent())
    with ADA.here(), transaction():
        for described in CATALOGUE:
            assert not described.queryset().exists()
            assert list(described.rows_for_dossier(hers.pk)) == []


def test_a_row_whose_clock_stands_still_does_not_age(ada):
    found = customer()
    with transaction():
        bulk.insert(
            [
                JourneyEnrollment(customer=found, journey="open", entered_at=NOW - timedelta(days=900)),
                JourneyEnrollment(customer=found, journey="over", ended_at=NOW - timedelta(days=900)),
            ]
        )
        expired = entity("journeyEnrollment").expired(NOW - timedelta(days=365))
        assert [e.journey for e in expired] == ["over"]


def test_a_profile_stays_while_anything_refers_to_it(ada):
    bring("customers", *({"customerId": c, "lastActivityAt": "2020-01-01"} for c in ("c-1", "c-2", "c-3")))
    with transaction():
        Customer.objects.update(last_activity_at=NOW - timedelta(days=1000))
        first, second, third = Customer.objects.order_by("customer_id")
        bulk.insert([Delivery(customer=first, channel="email")])
        bulk.insert([IdentityLink(customer=second, kind="device", value="d")])
        assert list(entity("customer").expired(NOW - timedelta(days=365))) == [third]


def test_tenant_defined_rows_are_judged_by_their_schemas_class_and_clock(ada):
    found = customer()
    with transaction():
        made = []
        for name, data_class, clock_field in (("visits", "interactions", "day"), ("grades", "decisions", "")):
            schema = DynamicSchema(
                name=name,
                data_class=data_class,
                clock_field=clock_field,
                fields=[{"name": "day", "type": "date"}],
            )
            schema.full_clean()
            schema.save()
            data = {"day": "2020-02-29"}
            made.append(
                DynamicRow(customer=found, schema=schema, data=data, clock_at=schema.clock_of(data, otherwise=NOW))
            )
        bulk.insert(made)
        rows = entity("dynamicSchemaRows")
        before = NOW - timedelta(days=365)
        assert rows.data_classes() == ("decisions", "interactions")
        assert [r.schema_id for r in rows.expired(before, data_class="interactions")] == [made[0].schema_id]
        assert not rows.expired(before, data_class="decisions").exists()
        with pytest.raises(catalogue.NotInClass):
            rows.expired(before)
        assert [r["schema"] for r in rows.rows_for_dossier(found.pk)] == ["visits", "grades"]


def test_asking_an_entity_for_another_class_is_an_error(ada):
    with transaction(), pytest.raises(catalogue.NotInClass):
        entity("delivery").in_class("interactions")


def test_masking_hides_every_personal_value_whatever_its_type():
    row: dict[str, Any] = {"data": {"a": 1, "b": ["secret text", True, None]}, "rowKey": "", "schema": "cards"}
    masked = entity("dynamicSchemaRows").masked(row)
    assert masked["schema"] == "cards"
    assert masked["data"]["a"] == "***"
    assert masked["data"]["b"][1:] == ["***", None]
    assert "secret" not in str(masked)


def test_erasure_is_declared_for_each_as_the_contract_says():
    kept = {e.name: e.erasure for e in CATALOGUE if e.erasure is not Erasure.DELETE}
    assert kept == {"consentRecord": Erasure.EVIDENCE, "dsarRequest": Erasure.SHRED}
