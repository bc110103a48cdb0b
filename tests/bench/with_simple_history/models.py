from django.db import models
from simple_history.models import HistoricalRecords

from kaireon.lib.ids import uuid7
from tests.bench.order import OrderColumns


class Order(OrderColumns):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.CharField(max_length=63)
    history = HistoricalRecords()
