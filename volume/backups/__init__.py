"""The backup store: volumes' contents as checked, compressed blocks in a directory that nodes may share."""
