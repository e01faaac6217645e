from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("orders", "0009_changed_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="BacktestRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file_name", models.CharField(max_length=200, verbose_name="file")),
                ("stored", models.CharField(editable=False, max_length=40, unique=True)),
                ("n_orders", models.PositiveIntegerField(verbose_name="orders")),
                ("scored_from", models.DateField(blank=True, null=True, verbose_name="scored from")),
                ("scored_to", models.DateField(blank=True, null=True, verbose_name="scored to")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("n_done", models.PositiveIntegerField(default=0, verbose_name="orders replayed")),
                ("n_total", models.PositiveIntegerField(default=0, verbose_name="orders to replay")),
                ("attempt", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("beat_at", models.DateTimeField(editable=False, null=True)),
                ("result", models.JSONField(default=dict, editable=False)),
                ("failure", models.CharField(blank=True, max_length=20, verbose_name="why it stopped")),
                ("started_at", models.DateTimeField(verbose_name="started")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="ended")),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="started by",
                    ),
                ),
            ],
            options={
                "verbose_name": "back-test",
                "verbose_name_plural": "back-tests",
                "ordering": ["-id"],
                "default_permissions": ("view", "add", "delete"),
            },
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
