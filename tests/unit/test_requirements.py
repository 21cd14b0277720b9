"""requirements/*.txt: complete, with hashes, and of no particular index."""

from __future__ import annotations

import configparser
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness import import_graph

ROOT = import_graph.ROOT
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
EXTRAS = {"cloud": ("libvirt", "client"), "tests": ("libvirt", "test", "types")}
TOOLS = {"cloud": "setuptools\nwheel", "tests": "setuptools\nwheel", "tox": "tox>=4.20,<5", "lint": "ruff>=0.9",
         "docs": "mkdocs>=1.6"}


def _text(use: str) -> str:
    return (ROOT / "requirements" / f"{use}.txt").read_text()


def _wanted() -> list[tuple[str, Requirement]]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    found = []
    for use, tools in TOOLS.items():
        lines = [tools, *(parser["options.extras_require"][name] for name in EXTRAS.get(use, ()))]
        if use in EXTRAS:
            lines.append(parser["options"]["install_requires"])
        found += [(use, Requirement(line)) for text in lines for line in text.splitlines()
                  if line and not line.startswith("#")]
    return found


@pytest.mark.parametrize("use", TOOLS)
def test_every_line_is_a_release_with_hashes(use: str) -> None:
    """Given a file, then it holds comments and releases with hashes alone, each name once."""
    pins = PIN.findall(_text(use))
    assert PIN.sub("", re.sub(r"^#.*$", "", _text(use), flags=re.MULTILINE)).strip() == ""
    assert pins and len({name for name, *_ in pins}) == len(pins)
    assert "://" not in _text(use)


@pytest.mark.parametrize(("use", "wanted"), _wanted(), ids=str)
def test_what_is_required_is_there(use: str, wanted: Requirement) -> None:
    """Given what is installed for a use, then its file has a release of each within the bounds that setup.cfg sets."""
    version = {name: version for name, version, _ in PIN.findall(_text(use))}.get(canonicalize_name(wanted.name))
    assert version is not None, "run tools/lock.py"
    assert wanted.specifier.contains(version, prereleases=True), "run tools/lock.py"
