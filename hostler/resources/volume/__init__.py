"""Volumes: states, specs for agents, claims on back ends."""
