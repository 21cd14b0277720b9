"""Everything is declared in setup.cfg; this file lets tools that still look for it find the project."""

from setuptools import setup

setup()
