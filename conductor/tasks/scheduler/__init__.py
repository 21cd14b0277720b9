"""Tasks that ask the scheduler."""
