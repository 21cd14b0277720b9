"""The volume agent: makes this node's volumes what the conductor says they are, and reports what its back ends hold."""

import hostler  # noqa: F401 - chooses oslo.service's threading backend, which must come before any oslo library
