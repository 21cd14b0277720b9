"""The published statuses of an image that the upload of its data passes through.

    queued ──► saving ──► active
      ▲  └───► uploading ──► importing ──► active
      └─── every failure and every dead worker
"""

from __future__ import annotations

from typing import Final

QUEUED: Final = "queued"  # no data yet
SAVING: Final = "saving"  # a request sends the data
UPLOADING: Final = "uploading"  # a request stages the data, or it is staged and waits for its import
IMPORTING: Final = "importing"  # a request makes the staged data the image's
ACTIVE: Final = "active"
WORKING: Final = (SAVING, UPLOADING, IMPORTING)
