"""Console scripts: one module a command."""
