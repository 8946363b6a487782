"""``pilot d1``: the words of ``wrangler d1``, on the databases of the worker here or of a host."""

from __future__ import annotations

from bindings.d1.commands import databases, migrations, sql, travel
from bindings.d1.commands.shared import d1

d1.add_command(sql.execute)
d1.add_command(sql.export)
d1.add_command(migrations.migrations)
d1.add_command(travel.time_travel)
for command in (databases.list_, databases.create, databases.info, databases.delete):
    d1.add_command(command)

__all__ = ["d1"]
