"""Flows that change servers."""
