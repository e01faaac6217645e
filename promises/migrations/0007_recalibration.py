from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("promises", "0006_anchors"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Recalibration",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("points", models.JSONField(editable=False, verbose_name="reading")),
                ("n", models.PositiveIntegerField(verbose_name="judged promises")),
                ("brier_before", models.FloatField(verbose_name="Brier score as stated")),
                ("brier_after", models.FloatField(verbose_name="Brier score by the new reading")),
                ("made_at", models.DateTimeField(verbose_name="in force since")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="in force until")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="taken out of force by",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="put in force by",
                    ),
                ),
            ],
            options={
                "verbose_name": "recalibration",
                "verbose_name_plural": "recalibrations",
                "ordering": ["-id"],
                "permissions": [("recalibrate", "Can put a new reading of the odds in force")],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("is_demo",),
                        name="recalibration_one_in_force",
                    )
                ],
            },
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
