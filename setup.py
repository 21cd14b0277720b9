"""Everything is declared in setup.cfg; this file only says where to build.

The build directory is a new one each time: in one that is kept, modules deleted from the tree would live on and get
into the next wheel.
"""

import tempfile

from setuptools import setup

with tempfile.TemporaryDirectory(prefix="hostler-build-") as build_base:
    setup(options={"build": {"build_base": build_base}})
