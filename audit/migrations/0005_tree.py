"""The tree in tiles, the keys that sign, the checkpoints and their publication."""

from pathlib import Path

import kaireon.lib.ids
from django.db import migrations, models

from audit.capture import captured
from kaireon.tenancy.rls import resolver_function

TREE = (Path(__file__).resolve().parent.parent / "tree.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_gauges"),
    ]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "tree_size", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                ("root_hash", models.CharField(max_length=64)),
                ("key_version", models.IntegerField()),
                ("note", models.TextField()),
                ("signed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_checkpoint",
            },
        ),
        migrations.CreateModel(
            name="Publication",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "tree_size", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                ("object_name", models.TextField()),
                ("published_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_publication",
            },
        ),
        migrations.CreateModel(
            name="Tile",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "level", "index", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("level", models.SmallIntegerField()),
                ("index", models.BigIntegerField()),
                ("hashes", models.BinaryField()),
            ],
            options={
                "db_table": "audit_tile",
            },
        ),
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("tenant_id", models.TextField()),
                ("version", models.IntegerField()),
                ("name", models.TextField()),
                ("public_key", models.BinaryField()),
                ("private_sealed", models.BinaryField()),
                ("cross_signatures", models.JSONField(default=list)),
                ("created_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "audit_signingkey",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant_id", "version"), name="audit_signingkey_version")
                ],
            },
        ),
        migrations.RunSQL(TREE, ""),
        resolver_function(
            "gauge_checkpoints()",
            "TABLE (committed timestamptz, unpublished bigint, since timestamptz)",
            # Of the logs that grew since, the one whose checkpoint is oldest; of the newest checkpoints, those still here.
            """
            SELECT min(c.signed_at) FILTER (WHERE h.seq > c.tree_size),
                   count(*) FILTER (WHERE p.tree_size IS NULL AND c.tree_size IS NOT NULL),
                   min(c.signed_at) FILTER (WHERE p.tree_size IS NULL)
              FROM public.audit_head h
              LEFT JOIN LATERAL (SELECT n.tree_size, n.signed_at FROM public.audit_checkpoint n
                                  WHERE n.tenant_id = h.tenant_id ORDER BY n.tree_size DESC LIMIT 1) c ON true
              LEFT JOIN public.audit_publication p ON p.tenant_id = h.tenant_id AND p.tree_size = c.tree_size
            """,
        ),
        captured("audit_signingkey", "SigningKey", secret=["private_sealed"], name="name"),
    ]
