"""Runs `nft`: one call is one transaction of the kernel, which takes effect as a whole or not at all."""

from __future__ import annotations

import json
import logging
import subprocess
from typing import Any

from compute.network import faults

LOG = logging.getLogger(__name__)

_TIMEOUT_S = 30


def apply(script: str) -> None:
    """Load `script` (nft's own language) in one transaction; raises `AgentError`, then nothing has changed."""
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, timeout=_TIMEOUT_S,
                              check=False)
    except FileNotFoundError as failure:
        raise faults.fault("the program nft (package nftables) is not installed on this host") from failure
    except subprocess.TimeoutExpired as failure:
        raise faults.fault(f"nft did not finish within {_TIMEOUT_S} s") from failure
    if done.returncode != 0:
        LOG.error("nft refused a transaction: %s\n%s", done.stderr.strip(), script)
        raise faults.fault("the host's packet filter refused the network's rules")


def foreign_drops() -> list[str]:
    """Return other programs' chains that drop forwarded packets by default, as `family table chain`.

    Bridged packets pass through such chains, too, and no table of ours can overrule them.
    """
    chains = (item["chain"] for item in _list("chains") or () if "chain" in item)
    return [f"{chain['family']} {chain['table']} {chain['name']}" for chain in chains
            if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in ("ip", "inet")]


def tables() -> set[tuple[str, str]] | None:
    """Return the family and name of every table; None if they cannot be listed."""
    listed = _list("tables")
    if listed is None:
        return None
    return {(item["table"]["family"], item["table"]["name"]) for item in listed if "table" in item}


def table(family: str, name: str) -> list[dict[str, Any]] | None:
    """Return what is in a table, without the kernel's numbers; None if it is not there."""
    listed = _list("table", family, name)
    return None if listed is None else [
        {kind: {key: value for key, value in item.items() if key != "handle"} for kind, item in entry.items()}
        for entry in listed if "metainfo" not in entry]


def _list(*what: str) -> list[dict[str, Any]] | None:
    try:
        done = subprocess.run(["nft", "-j", "list", *what], capture_output=True, text=True, timeout=_TIMEOUT_S,
                              check=True)
        listed: list[dict[str, Any]] = json.loads(done.stdout)["nftables"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as failure:
        LOG.warning("The host's packet filter %s could not be listed: %s", " ".join(what), failure)
        return None
    return listed
