"""Tasks that ask compute agents."""
