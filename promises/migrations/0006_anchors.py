from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [("promises", "0005_tracking")]

    operations = [
        migrations.CreateModel(
            name="Anchor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("rfc3161", "Time-stamp authority (RFC 3161)")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Asked for"), ("anchored", "Stamped"), ("failed", "Failed")],
                        default="pending",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("receipt", models.BinaryField(blank=True, verbose_name="receipt")),
                ("at", models.DateTimeField(blank=True, null=True, verbose_name="time stated")),
                ("facts", models.JSONField(default=dict, verbose_name="what the receipt says")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("not_before", models.DateTimeField(blank=True, null=True, verbose_name="asked again")),
                ("error", models.CharField(blank=True, max_length=200, verbose_name="error")),
                ("made_at", models.DateTimeField(verbose_name="asked")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="anchors",
                        to="promises.checkpoint",
                        verbose_name="checkpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "anchor",
                "verbose_name_plural": "anchors",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")), fields=["not_before"], name="anchor_waiting"
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("checkpoint", "kind"), name="anchor_once")],
            },
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
