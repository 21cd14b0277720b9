"""Verbs on images: records, members, data."""
