"""Flows that change volumes, snapshots, backups and attachments."""
