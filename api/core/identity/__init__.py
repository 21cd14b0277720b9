"""Verbs on projects, users, roles, domains and application credentials."""
