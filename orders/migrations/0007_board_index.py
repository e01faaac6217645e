from django.db import migrations, models

import orders.board.ordering


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_live_events")]

    operations = [
        migrations.RemoveIndex(model_name="order", name="order_board"),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                orders.board.ordering.NullsLast("promised_at"),
                orders.board.ordering.NullsLast("step_due_at"),
                orders.board.ordering.NullsLast("stalls_at"),
                models.F("id"),
                condition=models.Q(("is_open", True)),
                name="order_board_due",
            ),
        ),
    ]
