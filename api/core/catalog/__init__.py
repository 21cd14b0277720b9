"""Verbs on what servers are made from: flavors and key pairs."""
