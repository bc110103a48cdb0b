from django.db import models

from kaireon.lib.ids import uuid7
from tests.bench.append.order import OrderColumns


class Order(OrderColumns):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.CharField(max_length=63)
