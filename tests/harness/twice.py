"""One part of the tests: all on several workers, then the modules of the few that failed once more, alone.

    python tests/harness/twice.py CACHE [arguments of pytest for the first round]

Workers boot guests and measure times on what may be two processors. A fault fails alone, too, and fails the run;
a test that only fails beside others is named at the end: a race or a limit too tight, to be looked into. More than
`MOST` failures are a fault without asking again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MOST: Final = 8
_TESTS_FAILED: Final = 1  # pytest's exit status; others are its own errors


def run(cache: Path, words: Sequence[str]) -> int:
    """Run both rounds, with pytest's cache in `cache`; returns the exit status."""
    shutil.rmtree(cache, ignore_errors=True)
    # -P: the checkout must not be on the path, for the wheel is what is tested.
    pytest = [sys.executable, "-P", "-m", "pytest", "-o", f"cache_dir={cache}"]
    status = subprocess.run([*pytest, *words]).returncode
    failed = read_failed(cache) if status == _TESTS_FAILED else []
    if not 0 < len(failed) <= MOST:
        return status
    print(f"\n{len(failed)} failed beside others; their modules once more, alone:", *failed, sep="\n  ", flush=True)
    # Whole modules: the tests of some run in their order.
    modules = dict.fromkeys(test.partition("::")[0] for test in failed)
    status = subprocess.run([*pytest, *chosen_by_mark(words), *modules]).returncode
    passed = sorted({*failed} - {*read_failed(cache)}) if status in (0, _TESTS_FAILED) else []
    print("\nFailed beside others, passed alone; each has a race or too tight a limit:", *passed or ["none"],
          sep="\n  ", flush=True)
    return status


def chosen_by_mark(words: Sequence[str]) -> Sequence[str]:
    """Return the words that say which tests of a module run."""
    return words[words.index("-m"):][:2] if "-m" in words else ()


def read_failed(cache: Path) -> list[str]:
    """Return the node ids that pytest remembers as failed."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
