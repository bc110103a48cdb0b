"""The tree in tiles, the keys that sign, the checkpoints and their publication."""

from pathlib import Path

import kaireon.lib.ids
from django.db import migrations, models

from audit.capture.triggers import captured

TREE = (Path(__file__).resolve().parent.parent / "tree" / "tree.sql").read_text()


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
                        "tenant_id",
                        "tree_size",
                        "channel",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("storage", "Object in storage"),
                            ("webhook", "The operator's webhook"),
                            ("destination", "The tenant's destination"),
                        ],
                        max_length=16,
                    ),
                ),
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
        captured("audit_signingkey", "SigningKey", secret=["private_sealed"], name="name"),
    ]
