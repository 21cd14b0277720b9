"""The database: one `Database` a process, models, migrations. Agents never import this package."""
