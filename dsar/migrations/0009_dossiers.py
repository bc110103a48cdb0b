"""Dossiers whose data key stands by itself, and large ones in object storage."""

from django.db import migrations, models
from django.db.models import Q

import dsar.models.dossier
from audit.capture.triggers import captured

_BEFORE = captured(
    "dsar_dossier", "Dossier", subject="customer_ref", secret=["sealed"], personal=["sha256"], exact=["size"]
)


class Migration(migrations.Migration):
    dependencies = [("dsar", "0008_clocks"), ("audit", "0002_walls")]

    operations = [
        # What is captured names its columns.
        migrations.RunSQL(_BEFORE.reverse_sql, _BEFORE.sql),
        migrations.AddField("dossier", "key_wrapped", models.BinaryField(editable=False, null=True)),
        migrations.AddField(
            "dossier",
            "file",
            models.FileField(
                blank=True, default="", editable=False, max_length=255, upload_to=dsar.models.dossier.object_name
            ),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            "dossier",
            models.CheckConstraint(
                condition=(Q(file="") & ~Q(sealed=b"")) | (~Q(file="") & Q(sealed=b"", key_wrapped__isnull=False)),
                name="dossier_is_somewhere",
            ),
        ),
        captured(
            "dsar_dossier",
            "Dossier",
            subject="customer_ref",
            # The name of the object is the key to the bytes: what is left of it in the log must not find them.
            secret=["sealed", "key_wrapped", "file"],
            personal=["sha256"],
            exact=["size"],
        ),
    ]
