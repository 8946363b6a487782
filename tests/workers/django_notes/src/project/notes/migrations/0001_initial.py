from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)),
                ("text", models.CharField(max_length=200)),
                ("done", models.BooleanField(default=False)),
                ("made", models.DateTimeField(auto_now_add=True)),
            ],
        )
    ]
