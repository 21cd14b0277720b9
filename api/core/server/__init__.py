"""Verbs on servers and what belongs to them: input checks, one transaction each, no HTTP."""
