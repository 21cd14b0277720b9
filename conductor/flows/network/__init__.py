"""Flows that tell hosts about network changes."""
