"""Verbs on what the cloud is made of: hosts, services, zones, aggregates."""
