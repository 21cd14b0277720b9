"""Runs `nft`: one call is one transaction of the kernel, which takes effect as a whole or not at all."""

from __future__ import annotations

import logging
import subprocess

from hostler import errors

LOG = logging.getLogger(__name__)

_TIMEOUT_S = 30


def apply(script: str) -> None:
    """Load `script` (nft's own language) in one transaction; raises `AgentError`, then nothing has changed."""
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, timeout=_TIMEOUT_S,
                              check=False)
    except FileNotFoundError as failure:
        raise errors.AgentError(reason="the program nft (package nftables) is not installed on this host") from failure
    except subprocess.TimeoutExpired as failure:
        raise errors.AgentError(reason=f"nft did not finish within {_TIMEOUT_S} s") from failure
    if done.returncode != 0:
        LOG.error("nft refused a transaction: %s\n%s", done.stderr.strip(), script)
        raise errors.AgentError(reason="the host's packet filter refused the network's rules")
