from __future__ import annotations

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_changed_index"),
        ("promises", "0001_backtest"),
    ]

    operations = [
        migrations.CreateModel(
            name="EstimateModel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("made_at", models.DateTimeField(verbose_name="made")),
                ("method", models.CharField(max_length=10, verbose_name="method")),
                ("n_learned", models.PositiveIntegerField(verbose_name="orders learned from")),
                ("n_delivered", models.PositiveIntegerField(verbose_name="of them delivered")),
                ("newest_placed_at", models.DateTimeField(null=True, verbose_name="newest order")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                ("state", models.BinaryField(editable=False)),
            ],
            options={
                "verbose_name": "estimate model",
                "verbose_name_plural": "estimate models",
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Journey",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
                ("placed_at", models.DateTimeField(verbose_name="placed at")),
                ("zone", models.CharField(max_length=40, verbose_name="time zone")),
                ("county", models.CharField(blank=True, max_length=40, verbose_name="county")),
                ("city", models.CharField(blank=True, max_length=40, verbose_name="city")),
                ("province", models.CharField(blank=True, max_length=40, verbose_name="province")),
                ("carrier", models.CharField(blank=True, max_length=40, verbose_name="carrier")),
                ("service", models.CharField(blank=True, max_length=40, verbose_name="service")),
                ("origin", models.CharField(blank=True, max_length=40, verbose_name="warehouse")),
                (
                    "origin_region",
                    models.CharField(blank=True, max_length=40, verbose_name="region of the warehouse"),
                ),
                ("n_items", models.FloatField(null=True, verbose_name="units")),
                ("handed_at", models.DateTimeField(null=True, verbose_name="handed over")),
                ("delivered_at", models.DateTimeField(null=True, verbose_name="delivered")),
                ("is_queued", models.BooleanField(default=False, verbose_name="in the queue")),
                ("is_struck", models.BooleanField(default=False, verbose_name="cancelled or sent back")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
            ],
            options={
                "verbose_name": "journey",
                "verbose_name_plural": "journeys",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["placed_at"], name="journey_placed"),
                    models.Index(
                        condition=models.Q(("is_queued", True)),
                        fields=["origin", "placed_at"],
                        name="journey_queued",
                    ),
                    models.Index(
                        condition=models.Q(("handed_at__isnull", False)),
                        fields=["origin", "handed_at"],
                        name="journey_handed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PlannedSurge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                ("first", models.DateField(verbose_name="first day")),
                ("last", models.DateField(verbose_name="last day")),
                (
                    "factor",
                    models.DecimalField(
                        decimal_places=2,
                        max_digits=4,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(20),
                        ],
                        verbose_name="times the usual orders",
                    ),
                ),
            ],
            options={
                "verbose_name": "planned surge",
                "verbose_name_plural": "planned surges",
                "ordering": ["-first"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("last__gte", models.F("first"))),
                        name="surge_ends_after_it_begins",
                    ),
                    models.CheckConstraint(condition=models.Q(("factor__gte", 1)), name="surge_multiplies"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Estimate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("made_at", models.DateTimeField(verbose_name="made")),
                ("is_current", models.BooleanField(default=True, verbose_name="current")),
                ("is_first", models.BooleanField(default=False, verbose_name="first")),
                ("model_version", models.CharField(blank=True, max_length=20, verbose_name="model")),
                ("level", models.CharField(blank=True, max_length=10, verbose_name="place")),
                ("n", models.PositiveIntegerField(default=0, verbose_name="orders there")),
                (
                    "service_level",
                    models.PositiveSmallIntegerField(default=950, verbose_name="service level, per mille"),
                ),
                ("inputs", models.JSONField(default=dict, verbose_name="made from")),
                ("zone", models.CharField(default="Asia/Shanghai", max_length=40, verbose_name="time zone")),
                ("window_from", models.DateField(null=True, verbose_name="window from")),
                ("window_to", models.DateField(null=True, verbose_name="window to")),
                ("due_at", models.DateTimeField(null=True, verbose_name="latest date")),
                (
                    "odds",
                    models.PositiveSmallIntegerField(
                        null=True, verbose_name="odds of the latest date, per mille"
                    ),
                ),
                ("reasons", models.JSONField(default=list, verbose_name="reasons")),
                (
                    "no_date",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("not_enough_history", "Not enough history"),
                            ("beyond_cap", "Too far off to be promised"),
                            ("never_leaves", "The warehouse finishes nothing at present"),
                        ],
                        max_length=20,
                        verbose_name="no date because",
                    ),
                ),
                ("promised_at", models.DateTimeField(null=True, verbose_name="promised by")),
                (
                    "p_late",
                    models.PositiveSmallIntegerField(null=True, verbose_name="chance to be late, per mille"),
                ),
                (
                    "risk",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("on_track", "On track"),
                            ("watch", "To be watched"),
                            ("at_risk", "At risk"),
                        ],
                        max_length=12,
                        verbose_name="risk",
                    ),
                ),
                ("check_at", models.DateTimeField(null=True, verbose_name="looked at again")),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[("kept", "Kept"), ("missed", "Missed"), ("void", "Cancelled or sent back")],
                        max_length=6,
                        verbose_name="outcome",
                    ),
                ),
                ("outcome_at", models.DateTimeField(null=True, verbose_name="outcome known since")),
                ("delivered_at", models.DateTimeField(null=True, verbose_name="delivered")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="estimates",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "estimate",
                "verbose_name_plural": "estimates",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["order", "-id"], name="estimate_order"),
                    models.Index(
                        condition=models.Q(("due_at__isnull", False), ("outcome", "")),
                        fields=["due_at"],
                        name="estimate_unscored",
                    ),
                    models.Index(
                        condition=models.Q(("check_at__isnull", False)),
                        fields=["check_at"],
                        name="estimate_check",
                    ),
                    models.Index(
                        condition=models.Q(("is_first", True), models.Q(("outcome", ""), _negated=True)),
                        fields=["-outcome_at"],
                        name="estimate_judged",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True)),
                        fields=("order",),
                        name="estimate_one_current",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PromiseRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("is_on", models.BooleanField(default=True, verbose_name="orders get estimates")),
                (
                    "service_level",
                    models.PositiveSmallIntegerField(
                        default=950,
                        help_text="How many of a thousand orders are to arrive by the latest date.",
                        validators=[
                            django.core.validators.MinValueValidator(500),
                            django.core.validators.MaxValueValidator(990),
                        ],
                        verbose_name="service level, per mille",
                    ),
                ),
                (
                    "cap_days",
                    models.PositiveSmallIntegerField(
                        default=90,
                        help_text="A date further off is not promised: a person looks at the order instead.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(90),
                        ],
                        verbose_name="longest promise in days",
                    ),
                ),
                (
                    "shop",
                    models.OneToOneField(
                        blank=True,
                        help_text="Empty: for every shop without a rule of its own.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.shop",
                        verbose_name="shop",
                    ),
                ),
            ],
            options={
                "verbose_name": "promise rule",
                "verbose_name_plural": "promise rules",
                "constraints": [
                    models.UniqueConstraint(
                        models.Value(1), condition=models.Q(("shop__isnull", True)), name="rule_one_default"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WarehousePickup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.TimeField(verbose_name="time")),
                (
                    "warehouse",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.warehouse",
                        verbose_name="warehouse",
                    ),
                ),
            ],
            options={
                "verbose_name": "pick-up",
                "verbose_name_plural": "pick-ups",
                "ordering": ["warehouse", "at"],
                "constraints": [
                    models.UniqueConstraint(fields=("warehouse", "at"), name="pickup_warehouse_at")
                ],
            },
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
