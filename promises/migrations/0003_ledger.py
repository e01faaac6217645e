from __future__ import annotations

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from orders import append_only
from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [("promises", "0002_estimates")]

    operations = [
        migrations.CreateModel(
            name="TransparencyLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("seller", "Commitments"),
                            ("demo", "Commitments of the demo"),
                            ("audit", "Behaviour audit"),
                        ],
                        max_length=10,
                        unique=True,
                        verbose_name="purpose",
                    ),
                ),
                ("origin", models.CharField(max_length=200, unique=True, verbose_name="origin")),
                ("shard", models.PositiveSmallIntegerField(default=1, verbose_name="shard")),
                (
                    "visibility",
                    models.CharField(
                        choices=[
                            ("public", "Everybody may read the log"),
                            ("holders", "Only holders of a commitment and the auditor"),
                        ],
                        max_length=10,
                        verbose_name="who reads the log",
                    ),
                ),
                ("mmd", models.PositiveIntegerField(default=600, verbose_name="written within (seconds)")),
                ("grace", models.PositiveIntegerField(default=259200, verbose_name="grace (seconds)")),
                (
                    "alarm",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("rolled_back", "The database is older than what was signed"),
                            ("damaged", "What is stored is not what was signed"),
                            ("clock", "The clock was set back"),
                            ("late", "Entries wait longer than promised"),
                            ("key", "The log's key is missing"),
                        ],
                        max_length=12,
                        verbose_name="alarm",
                    ),
                ),
                ("alarm_at", models.DateTimeField(blank=True, null=True, verbose_name="alarm since")),
                ("patrolled", models.BigIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(verbose_name="begun")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
            ],
            options={
                "verbose_name": "transparency log",
                "verbose_name_plural": "transparency logs",
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="SellerProfile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("legal_name", models.CharField(max_length=200, verbose_name="legal name")),
                (
                    "uscc",
                    models.CharField(
                        max_length=18,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9A-HJ-NP-RTUW-Y]{18}$", "18 capital letters and digits."
                            )
                        ],
                        verbose_name="unified social credit code",
                    ),
                ),
                (
                    "slug",
                    models.CharField(
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", "Small letters, digits, hyphens."
                            )
                        ],
                        verbose_name="short name in addresses",
                    ),
                ),
                ("hotline", models.CharField(blank=True, max_length=40, verbose_name="hotline")),
                ("terms", models.TextField(blank=True, verbose_name="terms, Chinese")),
                ("terms_en", models.TextField(blank=True, verbose_name="terms, English")),
                ("apology", models.TextField(blank=True, verbose_name="apology, Chinese")),
                ("apology_en", models.TextField(blank=True, verbose_name="apology, English")),
                (
                    "visibility",
                    models.CharField(
                        choices=[
                            ("public", "Everybody may read the log"),
                            ("holders", "Only holders of a commitment and the auditor"),
                        ],
                        default="public",
                        max_length=10,
                        verbose_name="who reads the log",
                    ),
                ),
                (
                    "issue_on",
                    models.CharField(
                        choices=[
                            ("date_confirmed", "When the delivery date is confirmed"),
                            ("request", "On request"),
                        ],
                        default="date_confirmed",
                        max_length=20,
                        verbose_name="a commitment is issued",
                    ),
                ),
                ("is_demo", models.BooleanField(default=False, editable=False, verbose_name="demo")),
            ],
            options={
                "verbose_name": "seller",
                "verbose_name_plural": "seller",
                "default_permissions": ("view", "add", "change"),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_seller")],
            },
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("size", models.BigIntegerField(verbose_name="entries")),
                ("root", models.BinaryField(verbose_name="root")),
                ("note", models.TextField(verbose_name="signed note")),
                ("created_at", models.DateTimeField(verbose_name="signed")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
                (
                    "log",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="checkpoints",
                        to="promises.transparencylog",
                        verbose_name="log",
                    ),
                ),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Cosignature",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("witness", models.CharField(max_length=200, verbose_name="witness")),
                ("line", models.TextField(verbose_name="signature line")),
                ("at", models.DateTimeField(verbose_name="at")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cosignatures",
                        to="promises.checkpoint",
                        verbose_name="checkpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "cosignature",
                "verbose_name_plural": "cosignatures",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("checkpoint", "witness"), name="log_cosignature_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LogPending",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=10, verbose_name="kind")),
                ("body", models.JSONField(verbose_name="body")),
                ("dedup", models.CharField(max_length=120, verbose_name="written once for")),
                ("queued_at", models.DateTimeField(verbose_name="queued")),
                ("index", models.BigIntegerField(blank=True, null=True, verbose_name="place")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
                (
                    "about",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="promises.logpending",
                        verbose_name="about",
                    ),
                ),
                (
                    "log",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pending",
                        to="promises.transparencylog",
                        verbose_name="log",
                    ),
                ),
            ],
            options={
                "verbose_name": "queued entry",
                "verbose_name_plural": "queued entries",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("index__isnull", True)),
                        fields=["log", "id"],
                        name="log_pending_waiting",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("log", "dedup"), name="log_pending_once")],
            },
        ),
        migrations.CreateModel(
            name="LogNode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("level", models.PositiveSmallIntegerField()),
                ("index", models.BigIntegerField()),
                ("hash", models.BinaryField()),
                ("is_demo", models.BooleanField(default=False)),
                (
                    "log",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="nodes",
                        to="promises.transparencylog",
                    ),
                ),
            ],
            options={
                "verbose_name": "node of a log",
                "verbose_name_plural": "nodes of the logs",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("log", "level", "index"), name="log_node_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LogLeaf",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("index", models.BigIntegerField(verbose_name="place")),
                ("entry", models.BinaryField(verbose_name="entry")),
                ("leaf_hash", models.BinaryField(verbose_name="hash")),
                ("is_demo", models.BooleanField(default=False, verbose_name="demo")),
                (
                    "log",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="leaves",
                        to="promises.transparencylog",
                        verbose_name="log",
                    ),
                ),
            ],
            options={
                "verbose_name": "log entry",
                "verbose_name_plural": "log entries",
                "default_permissions": ("view",),
                "constraints": [models.UniqueConstraint(fields=("log", "index"), name="log_leaf_once")],
            },
        ),
        migrations.CreateModel(
            name="LogKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("log", "signs the log"),
                            ("token", "signs the code on documents"),
                            ("monitor", "signs the reports of the monitor"),
                        ],
                        max_length=8,
                        verbose_name="purpose",
                    ),
                ),
                ("vkey", models.CharField(max_length=400, unique=True, verbose_name="public key")),
                ("key_id", models.CharField(max_length=8, verbose_name="key id")),
                ("public", models.BinaryField()),
                ("not_before", models.DateTimeField(verbose_name="signs from")),
                ("not_after", models.DateTimeField(blank=True, null=True, verbose_name="signs until")),
                (
                    "revoked_at_size",
                    models.BigIntegerField(blank=True, null=True, verbose_name="good below entry"),
                ),
                ("secret_file", models.CharField(max_length=100, verbose_name="key file")),
                (
                    "log",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="promises.transparencylog",
                        verbose_name="log",
                    ),
                ),
            ],
            options={
                "verbose_name": "key of a log",
                "verbose_name_plural": "keys of the logs",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("log", "purpose", "key_id"), name="log_key_once")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="checkpoint",
            constraint=models.UniqueConstraint(fields=("log", "size"), name="log_checkpoint_once"),
        ),
        migrations.RunPython(append_only.install, migrations.RunPython.noop),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
