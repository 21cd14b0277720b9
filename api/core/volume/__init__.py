"""Verbs on volumes, snapshots, backups, attachments and volume types."""
