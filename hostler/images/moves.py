"""How an image's status changes in the database: only as `statuses.may_become` allows it."""

from __future__ import annotations

from typing import Final

from hostler.db.models import Image
from hostler.images import statuses
from hostler.resources.transitions import Transitions

IMAGE: Final = Transitions("image", Image, Image.status, statuses.STATUSES, statuses.may_become)
