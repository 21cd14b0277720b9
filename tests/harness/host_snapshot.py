"""Everything that a host's network is made of, in a form that two of the same kind have in common.

Left out is what comes and goes with traffic: leases, learned lines, connections, counters, logs.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compute.network import namespaces

_KEPT = re.compile(r"dnsmasq\.(leases|log|pid)|hostler-.*")


def snapshot(state: Path) -> dict[str, Any]:
    """Return what there is in the test's namespace and in those kept below `state`."""
    found: dict[str, Any] = {"host": _namespace()}
    for path in sorted(state.glob("*/*/hostler-*")):
        found[path.name] = namespaces.run_inside(path, _namespace)
    found["files"] = {str(path.relative_to(state)): _text(path) for path in sorted(state.rglob("*"))
                      if path.is_file() and not _KEPT.fullmatch(path.name)}
    found["processes"] = sorted(_processes(state))
    return found


def _text(path: Path) -> Any:
    """Return what a file says; of a port's, without the state that its server had then."""
    text = path.read_text()
    return json.loads(text)["port"] if path.parent.name == "ports" else text


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Return where two snapshots differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [found for key in sorted({*one, *other})
                for found in differences(one.get(key), other.get(key), f"{at}/{key}")]
    if isinstance(one, list) and isinstance(other, list):
        only = [[item for item in these if item not in those] for these, those in ((one, other), (other, one))]
        return [f"{at}: {only[0]} != {only[1]}"] if one != other else []
    return [] if one == other else [f"{at}: {one!r} != {other!r}"]


def _namespace() -> dict[str, Any]:
    links = _ip("-d", "address", "show")
    rules = json.loads("".join(_lines("nft", "-j", "list", "ruleset")))
    return {
        "links": {link["ifname"]: {key: link.get(key) for key in ("master", "mtu", "address", "operstate")}
                  for link in links},
        "addresses": sorted(f"{link['ifname']} {one['local']}/{one['prefixlen']}" for link in links
                            for one in link["addr_info"]),
        "routes": sorted(json.dumps({key: route.get(key) for key in ("dst", "gateway", "dev", "scope")})
                         for family in ("-4", "-6") for route in _ip(family, "route", "show")),
        "neighbours": sorted(f"{one['dst']} {one.get('lladdr')} {one['dev']}" for one in
                             _ip("neigh", "show", "nud", "permanent")),
        "forwarding": sorted({line for line in _lines("bridge", "fdb", "show")
                              if any(word in line for word in (" dst ", "static"))}),
        "rules": _without_order(rules["nftables"])}


def _without_order(entries: list[dict[str, Any]]) -> list[str]:
    """Return what tables hold, with what sets hold in one order, and without counts and the kernel's numbers."""
    return sorted(json.dumps(_sorted(entry), sort_keys=True) for entry in entries if "metainfo" not in entry)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: (sorted(map(json.dumps, map(_sorted, inner))) if key in ("elem", "set") and isinstance(inner, list)
                      else _sorted(inner)) for key, inner in value.items() if key not in ("packets", "bytes", "handle")}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _processes(state: Path) -> Iterable[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_text().replace("\0", " ").strip()
            if text.startswith("dnsmasq") and str(state) in text:
                yield text


def _ip(*words: str) -> Any:
    return json.loads(subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True).stdout or "[]")


def _lines(*words: str) -> list[str]:
    return [line.strip() for line in subprocess.run(words, capture_output=True, text=True, check=True
                                                    ).stdout.splitlines()]
