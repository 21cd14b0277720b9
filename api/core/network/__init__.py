"""Verbs on networks, subnets, ports and security groups."""
