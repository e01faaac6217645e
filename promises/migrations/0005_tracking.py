from __future__ import annotations

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from orders.access import sync_roles


def give_roles(apps, schema_editor):
    sync_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("orders", "0009_changed_index"),
        ("promises", "0004_commitments"),
    ]

    operations = [
        migrations.CreateModel(
            name="ContactClick",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "milestone",
                    models.CharField(
                        choices=[
                            ("received", "Order received"),
                            ("preparing", "Being prepared"),
                            ("packed", "Packed"),
                            ("on_way", "On the way"),
                            ("nearby", "Out for delivery"),
                            ("arrived", "Delivered"),
                            ("cancelled", "Cancelled"),
                            ("returned", "Going back"),
                        ],
                        max_length=12,
                        verbose_name="what the page said",
                    ),
                ),
                (
                    "cause",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("goods", "Goods being restocked"),
                            ("address", "Address to be confirmed"),
                            ("customs", "Customs clearance"),
                            ("payment", "Payment"),
                            ("review", "Order check"),
                            ("warehouse", "Warehouse"),
                            ("carrier", "Carrier"),
                            ("delivery", "Delivery attempt"),
                            ("damage", "Parcel damaged or lost"),
                            ("hold", "On hold"),
                            ("wish", "Changed at your wish"),
                            ("news", "News being fetched"),
                        ],
                        max_length=10,
                        verbose_name="cause on the page",
                    ),
                ),
                ("is_delayed", models.BooleanField(verbose_name="a delay was on the page")),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "contact click",
                "verbose_name_plural": "contact clicks",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["at"], name="click_at"),
                    models.Index(fields=["order", "at"], name="click_order"),
                ],
            },
        ),
        migrations.CreateModel(
            name="CustomerLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.PositiveSmallIntegerField(default=1, verbose_name="version")),
                ("token_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("made_at", models.DateTimeField(verbose_name="made")),
                ("revoked_at", models.DateTimeField(null=True, verbose_name="revoked")),
                ("n_tries", models.PositiveSmallIntegerField(default=0, verbose_name="wrong tries")),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customer_links",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
                (
                    "revoked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="revoked by",
                    ),
                ),
            ],
            options={
                "verbose_name": "customer's link",
                "verbose_name_plural": "customers' links",
                "permissions": [
                    ("open_customerlink", "Can open and copy customers' links"),
                    ("revoke_customerlink", "Can revoke customers' links"),
                ],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("order", "version"), name="link_order_version"),
                    models.UniqueConstraint(
                        condition=models.Q(("revoked_at__isnull", True)),
                        fields=("order",),
                        name="link_one_in_force",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CustomerRequest",
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
                        choices=[("address", "Another address"), ("message", "Message")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                ("made_at", models.DateTimeField(verbose_name="asked at")),
                ("due_at", models.DateTimeField(verbose_name="answer by")),
                ("sealed", models.TextField(blank=True, editable=False)),
                (
                    "contact",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="orders.contact",
                        verbose_name="contact",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customer_requests",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
                (
                    "todo",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="orders.todo",
                        verbose_name="to-do",
                    ),
                ),
            ],
            options={
                "verbose_name": "customer's request",
                "verbose_name_plural": "customers' requests",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["order", "-id"], name="request_order")],
            },
        ),
        migrations.CreateModel(
            name="DeliveryRating",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "stars",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                        verbose_name="stars",
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="delivery_rating",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "rating of a delivery",
                "verbose_name_plural": "ratings of deliveries",
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("stars__gte", 1), ("stars__lte", 5)), name="rating_one_to_five"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MessageConsent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("sms", "Text message"), ("email", "E-mail")],
                        max_length=10,
                        verbose_name="channel",
                    ),
                ),
                ("sealed", models.TextField(editable=False)),
                ("given_at", models.DateTimeField(verbose_name="given")),
                ("lapses_at", models.DateTimeField(db_index=True, verbose_name="deleted at")),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="message_consents",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "consent to messages",
                "verbose_name_plural": "consents to messages",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("order", "channel"), name="consent_order_channel")
                ],
            },
        ),
        migrations.CreateModel(
            name="NextUpdate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("goods", "Goods being restocked"),
                            ("address", "Address to be confirmed"),
                            ("customs", "Customs clearance"),
                            ("payment", "Payment"),
                            ("review", "Order check"),
                            ("warehouse", "Warehouse"),
                            ("carrier", "Carrier"),
                            ("delivery", "Delivery attempt"),
                            ("damage", "Parcel damaged or lost"),
                            ("hold", "On hold"),
                            ("wish", "Changed at your wish"),
                            ("news", "News being fetched"),
                        ],
                        max_length=10,
                        verbose_name="cause",
                    ),
                ),
                ("made_at", models.DateTimeField(verbose_name="promised at")),
                ("due_at", models.DateTimeField(verbose_name="news by")),
                ("kept_at", models.DateTimeField(null=True, verbose_name="kept")),
                ("missed_at", models.DateTimeField(null=True, verbose_name="missed")),
                (
                    "given_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="promised by",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="next_updates",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "promised news",
                "verbose_name_plural": "promised news",
                "ordering": ["-id"],
                "permissions": [("give_news", "Can give customers news on their page")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["order", "-id"], name="news_order"),
                    models.Index(
                        condition=models.Q(("kept_at__isnull", True), ("missed_at__isnull", True)),
                        fields=["due_at"],
                        name="news_due",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kept_at__isnull", True), ("missed_at__isnull", True)),
                        fields=("order",),
                        name="news_open_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PageVisit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(verbose_name="day")),
                ("n", models.PositiveIntegerField(default=0, verbose_name="visits")),
                (
                    "n_delayed",
                    models.PositiveIntegerField(default=0, verbose_name="of them with a delay on the page"),
                ),
                ("last_at", models.DateTimeField(verbose_name="last visit")),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "visits of a customer's page",
                "verbose_name_plural": "visits of customers' pages",
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["day"], name="visit_day")],
                "constraints": [models.UniqueConstraint(fields=("order", "day"), name="visit_order_day")],
            },
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
