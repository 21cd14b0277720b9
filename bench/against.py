"""Two commits in one call: the measurement runs old, new, old, new, so that both meet the same machine.

>>> compare("v0.3", ["bench/servers.py", "--cloud", "fleet"])      # the old code under the present benchmark
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measure

_HERE = Path(__file__).resolve().parent.parent
_TURNS = 2


def compare(commit: str, arguments: Sequence[str], turns: int = _TURNS) -> None:
    """Run `python ARGUMENTS` on the code of `commit` and on the present one; print each figure and their ratios."""
    for name, sides in paired(commit, arguments, turns).items():
        if sides["old"] and sides["new"]:
            before, after = (statistics.fmean(sides[side]) for side in ("old", "new"))
            measure.figure(f"ratio/{name}", after / before if before else 0.0, "new/old", old=before, new=after)


def paired(commit: str, arguments: Sequence[str], turns: int = _TURNS) -> dict[str, dict[str, list[float]]]:
    """As `compare`; return what each turn of both sides found, by the figures' names."""
    script, *options = arguments
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"old": [], "new": []})
    with _tree(commit) as old:
        for _ in range(turns):
            for side, tree in (("old", old), ("new", _HERE)):
                for name, value in _run(tree, [str(Path(script).resolve()), *options], side).items():
                    found[name][side].append(value)
    return found


def _run(tree: Path, command: Sequence[str], side: str) -> dict[str, float]:
    """Return what is compared of each figure: its processor time where it has one. Repeated, the last counts."""
    environment = {**os.environ, measure.TREE: str(tree), "PYTHONPATH": str(tree)}
    process = subprocess.Popen([sys.executable, *command], cwd=tree, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    values: dict[str, float] = {}
    for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            found: dict[str, Any] = json.loads(line)
            values[found["name"]] = found.get("cpu_ms_per_op", found["value"])
            print(json.dumps({"side": side, **found}), flush=True)
    if process.wait():
        raise SystemExit(f"the {side} side failed")
    return values


@contextlib.contextmanager
def _tree(commit: str) -> Iterator[Path]:
    """Check a commit out into a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="hostler-against-") as made:
        tree = Path(made) / "tree"
        git = ["git", "-C", str(_HERE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
