"""Servers: states, specs for agents, claims on hosts."""
