"""Flows about the whole cloud."""
