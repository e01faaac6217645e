from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from orders import append_only
from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_changed_index"),
        ("promises", "0003_ledger"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CommitmentRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "issue_on",
                    models.CharField(
                        choices=[
                            ("date_confirmed", "When the date is confirmed"),
                            ("request", "On request only"),
                        ],
                        default="date_confirmed",
                        max_length=20,
                        verbose_name="issue commitments",
                    ),
                ),
                (
                    "person_from_total",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="In the order's currency. Empty: whatever the value.",
                        max_digits=14,
                        null=True,
                        verbose_name="a person moves the date from this order value on",
                    ),
                ),
                (
                    "person_from_stars",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Stars of the customer, 1 to 5. Empty: however many.",
                        null=True,
                        verbose_name="a person moves the date from this many stars on",
                    ),
                ),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "shop",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="commitment_rule",
                        to="orders.shop",
                        verbose_name="shop",
                    ),
                ),
            ],
            options={
                "verbose_name": "commitment rule",
                "verbose_name_plural": "commitment rules",
                "ordering": ["shop__code"],
            },
        ),
        migrations.CreateModel(
            name="Promise",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=16, verbose_name="attestation number")),
                ("version", models.PositiveSmallIntegerField(verbose_name="version")),
                ("ph", models.CharField(max_length=64, unique=True, verbose_name="payload hash")),
                ("payload", models.BinaryField()),
                ("token", models.BinaryField()),
                ("due", models.DateTimeField(verbose_name="promised by")),
                ("first_due", models.DateTimeField(verbose_name="first promised by")),
                ("window_from", models.DateTimeField(null=True, verbose_name="expected from")),
                ("window_to", models.DateTimeField(null=True, verbose_name="expected to")),
                (
                    "rc",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("CUSTOMER", "The customer's wish"),
                            ("STOCK", "Stock"),
                            ("CARRIER", "Carrier"),
                            ("WEATHER", "Weather"),
                            ("CUSTOMS", "Customs clearance"),
                            ("SELLER", "Our own fault"),
                        ],
                        max_length=10,
                        verbose_name="reason",
                    ),
                ),
                (
                    "asked_by",
                    models.CharField(
                        blank=True,
                        choices=[("customer", "the customer"), ("seller", "the seller")],
                        max_length=10,
                        verbose_name="asked for by",
                    ),
                ),
                ("is_automatic", models.BooleanField(default=False, verbose_name="made by the hub itself")),
                ("made_at", models.DateTimeField(verbose_name="issued at")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "In force"),
                            ("superseded", "Replaced"),
                            ("kept", "Kept"),
                            ("missed", "Missed"),
                            ("waived", "Waived"),
                            ("revoked", "Revoked"),
                            ("unknown", "No outcome known"),
                        ],
                        default="active",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("state_at", models.DateTimeField(verbose_name="in this state since")),
                ("state_reason", models.CharField(blank=True, max_length=300, verbose_name="because")),
                ("judge_at", models.DateTimeField(null=True, verbose_name="judged again at")),
                (
                    "made_by",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="issued by",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promises",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
                (
                    "pending",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promise",
                        to="promises.logpending",
                        verbose_name="log entry",
                    ),
                ),
                (
                    "supersedes",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="superseded_by",
                        to="promises.promise",
                        verbose_name="replaces",
                    ),
                ),
            ],
            options={
                "verbose_name": "commitment",
                "verbose_name_plural": "commitments",
                "permissions": [
                    ("issue_promise", "Can issue commitments and move their date"),
                    ("revoke_promise", "Can revoke commitments"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=16, unique=True, verbose_name="attestation number")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("delivered", "Delivered"),
                            ("failed", "Not delivered"),
                            ("cancel_customer", "Cancelled by the customer"),
                            ("cancel_seller", "Cancelled by the seller"),
                        ],
                        max_length=16,
                        verbose_name="outcome",
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "src",
                    models.CharField(
                        choices=[("carrier", "Carrier"), ("customer", "Customer"), ("seller", "Seller")],
                        max_length=10,
                        verbose_name="said by",
                    ),
                ),
                ("ev", models.CharField(max_length=64, verbose_name="evidence hash")),
                ("evidence", models.BinaryField()),
                ("kept_first", models.BooleanField(verbose_name="kept by the first date")),
                ("kept_latest", models.BooleanField(verbose_name="kept by the latest date")),
                ("made_at", models.DateTimeField(verbose_name="recorded")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "pending",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outcome",
                        to="promises.logpending",
                        verbose_name="log entry",
                    ),
                ),
                (
                    "promise",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outcome",
                        to="promises.promise",
                        verbose_name="commitment",
                    ),
                ),
            ],
            options={
                "verbose_name": "outcome of a commitment",
                "verbose_name_plural": "outcomes of commitments",
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="IssueRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("asked", "Asked for"), ("issued", "Issued"), ("refused", "Refused")],
                        default="asked",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("due_on", models.DateField(blank=True, null=True, verbose_name="day")),
                (
                    "rc",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("CUSTOMER", "The customer's wish"),
                            ("STOCK", "Stock"),
                            ("CARRIER", "Carrier"),
                            ("WEATHER", "Weather"),
                            ("CUSTOMS", "Customs clearance"),
                            ("SELLER", "Our own fault"),
                        ],
                        max_length=10,
                        verbose_name="reason",
                    ),
                ),
                (
                    "asked_by",
                    models.CharField(
                        blank=True,
                        choices=[("customer", "the customer"), ("seller", "the seller")],
                        max_length=10,
                        verbose_name="asked for by",
                    ),
                ),
                ("is_automatic", models.BooleanField(default=False, verbose_name="made by the hub itself")),
                ("of_version", models.PositiveSmallIntegerField(default=0, verbose_name="replaces version")),
                ("code", models.CharField(blank=True, max_length=30, verbose_name="because")),
                ("words", models.JSONField(blank=True, default=dict, verbose_name="details")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("not_before", models.DateTimeField(verbose_name="not before")),
                ("asked_at", models.DateTimeField(verbose_name="asked at")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="answered at")),
                (
                    "asker",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="issue_requests",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
                (
                    "promise",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="requests",
                        to="promises.promise",
                        verbose_name="commitment",
                    ),
                ),
            ],
            options={
                "verbose_name": "request for a commitment",
                "verbose_name_plural": "requests for commitments",
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="PromiseFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(max_length=64, unique=True)),
                ("sm3", models.CharField(max_length=64)),
                ("path", models.CharField(max_length=80, verbose_name="file")),
                ("n_bytes", models.PositiveIntegerField(verbose_name="size")),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
                (
                    "promise",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="file",
                        to="promises.promise",
                        verbose_name="commitment",
                    ),
                ),
            ],
            options={
                "verbose_name": "file of a commitment",
                "verbose_name_plural": "files of commitments",
                "default_permissions": ("view",),
            },
        ),
        migrations.AddIndex(
            model_name="promise",
            index=models.Index(fields=["order", "-id"], name="promise_of_order"),
        ),
        migrations.AddIndex(
            model_name="promise",
            index=models.Index(
                condition=models.Q(("judge_at__isnull", False)), fields=["judge_at"], name="promise_judge"
            ),
        ),
        migrations.AddConstraint(
            model_name="promise",
            constraint=models.UniqueConstraint(fields=("number", "version"), name="promise_number_version"),
        ),
        migrations.AddConstraint(
            model_name="promise",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")), fields=("order",), name="promise_one_in_force"
            ),
        ),
        migrations.AddIndex(
            model_name="issuerequest",
            index=models.Index(
                condition=models.Q(("state", "asked")),
                fields=["not_before", "id"],
                name="issue_request_asked",
            ),
        ),
        migrations.AddIndex(
            model_name="issuerequest",
            index=models.Index(fields=["order", "-id"], name="issue_request_of_order"),
        ),
        migrations.AddConstraint(
            model_name="issuerequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "asked")), fields=("order",), name="issue_request_one_open"
            ),
        ),
        migrations.RunPython(append_only.install, migrations.RunPython.noop),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
