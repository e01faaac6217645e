from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0008_today_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["settled_through", "id"], name="order_changed"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["shop", "settled_through", "id"], name="order_shop_changed"),
        ),
    ]
