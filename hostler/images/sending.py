"""Sends an image's content from an agent to the image store, past interruptions of the api."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import requests

from hostler import errors
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import UploadSpec

LOG = logging.getLogger(__name__)
TIMEOUT_S = (10, 600)  # to connect; and for the answer, which comes when all is stored and checked
BLOCK_BYTES = 1 << 20
# Before each further try: an api that is being restarted is back by then.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)


def send(path: Path, upload: UploadSpec, *, check: Callable[[], None], progress: Progress) -> None:
    """PUT a file's content to the upload's URL; raises AgentError when it cannot be sent or is refused.

    `check` is called before each try, `progress` with per cent as the content goes; what they raise ends the sending.
    """
    for pause_s in (*PAUSES_S, None):
        check()
        body = _Body(path, progress)
        try:
            answer = requests.put(upload.url, data=body, timeout=TIMEOUT_S,  # type: ignore[arg-type]
                                  headers={"Content-Type": "application/octet-stream"})
        except requests.RequestException as error:
            LOG.warning("Image %s could not be sent: %s", upload.image_id, error)
            if pause_s is None:
                raise errors.AgentError(reason=f"Image {upload.image_id} could not be sent to the image store."
                                        ) from error
            time.sleep(pause_s)
            continue
        finally:
            body.close()
        if answer.ok:
            return
        LOG.warning("Image %s was refused with %d: %s", upload.image_id, answer.status_code, answer.text[:500])
        if answer.status_code < 500 or pause_s is None:
            raise errors.AgentError(reason=f"The image store refused image {upload.image_id} "
                                           f"(HTTP {answer.status_code}).")
        time.sleep(pause_s)


class _Body:
    """A file's content as `requests` sends it with its length known; progress is reported as it goes."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._progress = progress

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Return the next bytes."""
        self._progress(self._file.tell() * 100 // max(self._size, 1))
        return self._file.read(max(size, BLOCK_BYTES))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
