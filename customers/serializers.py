"""The shapes of customers, interactions and consents on the wire, for the schema and for answers.

Rows that come in are read by customers.rows, whose tables these mirror (a test compares them): a call brings a
thousand, each judged by itself.
"""

from typing import Any

from rest_framework import serializers

from customers.ingest import MAX_ROWS
from customers.models.consent import ConsentStatus
from customers.models.interaction import InteractionKind
from kaireon.api.serializers import PageOut, StrictSerializer

# DRF takes declared fields off the class, so `context`, `source` and `errors` hide nothing of its own.

_NUMBER = "The tenant's own number of the customer."


class CustomerIn(serializers.Serializer[Any]):
    customerId = serializers.CharField(max_length=128, help_text=_NUMBER)
    email = serializers.EmailField(required=False, allow_null=True)
    phone = serializers.CharField(required=False, allow_null=True, max_length=64)
    name = serializers.CharField(required=False, allow_null=True, max_length=200)
    birthDate = serializers.DateField(required=False, allow_null=True)
    address = serializers.CharField(required=False, allow_null=True, max_length=1000)
    country = serializers.CharField(required=False, allow_null=True, help_text="ISO 3166-1 alpha-2.")
    language = serializers.CharField(required=False, allow_null=True, help_text="BCP 47.")
    attributes = serializers.DictField(required=False, allow_null=True, help_text="At most 16 KiB.")
    lastActivityAt = serializers.DateTimeField(required=False, allow_null=True, help_text="Never moves back.")


class InteractionIn(serializers.Serializer[Any]):
    customerId = serializers.CharField(max_length=128, help_text=_NUMBER)
    externalId = serializers.CharField(max_length=128, help_text="Your number of it: sent twice, it is stored once.")
    kind = serializers.ChoiceField(choices=InteractionKind.choices)
    occurredAt = serializers.DateTimeField()
    channel = serializers.CharField(required=False, allow_null=True, max_length=32)
    offer = serializers.CharField(required=False, allow_null=True, max_length=128)
    quantity = serializers.IntegerField(required=False, allow_null=True)
    amount = serializers.DecimalField(required=False, allow_null=True, max_digits=18, decimal_places=4)
    currency = serializers.CharField(required=False, allow_null=True, help_text="ISO 4217.")
    context = serializers.DictField(required=False, allow_null=True, help_text="At most 16 KiB.")  # type: ignore[assignment]


class ConsentIn(serializers.Serializer[Any]):
    customerId = serializers.CharField(max_length=128, help_text=_NUMBER)
    channel = serializers.CharField(max_length=32)
    purpose = serializers.CharField(max_length=64)
    status = serializers.ChoiceField(choices=ConsentStatus.choices)
    recordedAt = serializers.DateTimeField()
    source = serializers.CharField(required=False, allow_null=True, max_length=128)  # type: ignore[assignment]
    policyVersion = serializers.CharField(required=False, allow_null=True, max_length=64)


_MANY = f"At most {MAX_ROWS}."


class CustomersIn(StrictSerializer):
    customers = CustomerIn(many=True, help_text=_MANY)


class InteractionsIn(StrictSerializer):
    interactions = InteractionIn(many=True, help_text=_MANY)


class ConsentsIn(StrictSerializer):
    consents = ConsentIn(many=True, help_text=_MANY)


class RowErrorOut(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Of the row in the call, from 0.")
    field = serializers.CharField(help_text="Empty when it is the row itself.")
    message = serializers.CharField()


class OutcomeOut(serializers.Serializer[Any]):
    """What became of the rows. One with an error is stored in no part and counted in none of the others."""

    received = serializers.IntegerField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField(help_text="Stored before, with the same contents.")
    errors = RowErrorOut(many=True)  # type: ignore[assignment]


class CustomerOut(serializers.Serializer[Any]):
    """Personal values are masked for roles that may not read them."""

    id = serializers.UUIDField(help_text="Ours, opaque; audit records name customers by it.")
    customerId = serializers.CharField(help_text=_NUMBER)
    email = serializers.CharField()
    phone = serializers.CharField()
    name = serializers.CharField()
    birthDate = serializers.CharField(allow_null=True)
    address = serializers.CharField()
    country = serializers.CharField()
    language = serializers.CharField()
    attributes = serializers.DictField()
    lastActivityAt = serializers.DateTimeField()
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class InteractionOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customerId = serializers.CharField(help_text=_NUMBER)
    externalId = serializers.CharField()
    kind = serializers.CharField()
    channel = serializers.CharField()
    offer = serializers.CharField()
    quantity = serializers.IntegerField(allow_null=True)
    amount = serializers.CharField(allow_null=True, help_text="Decimal text.")
    currency = serializers.CharField()
    context = serializers.DictField()  # type: ignore[assignment]
    occurredAt = serializers.DateTimeField()
    createdAt = serializers.DateTimeField()


class ConsentOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customerId = serializers.CharField(allow_null=True, help_text="Null once the customer was erased.")
    channel = serializers.CharField()
    purpose = serializers.CharField()
    status = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    policyVersion = serializers.CharField()
    recordedAt = serializers.DateTimeField()
    withdrawnAt = serializers.DateTimeField(allow_null=True)
    createdAt = serializers.DateTimeField()


class CustomersOut(PageOut):
    customers = CustomerOut(many=True)


class InteractionsOut(PageOut):
    interactions = InteractionOut(many=True)


class ConsentsOut(PageOut):
    consents = ConsentOut(many=True)
