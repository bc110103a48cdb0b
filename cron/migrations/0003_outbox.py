"""What the outbox keeps comes under audit and under the guard of legal hold."""

from django.db import migrations

from audit.capture.triggers import captured
from compliance.holding.guards import guarded


class Migration(migrations.Migration):
    dependencies = [("cron", "0003_slots"), ("compliance", "0002_walls"), ("outbox", "0002_walls")]

    operations = [
        # The settings may name an address, so they appear by name only.
        captured("outbox_destination", "Destination", personal=["settings"], secret=["secret_sealed"], name="name"),
        guarded("outbox_payload", "jobs"),
        guarded("outbox_archivekey", "jobs"),
    ]
