"""The compute agent: makes this host's servers what the conductor says they are, and reports what happens to them."""

import hostler  # noqa: F401 - chooses oslo.service's threading backend, which must come before any oslo library
