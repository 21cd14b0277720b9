"""The compute agent: makes this host's servers what the conductor says they are, and reports what happens to them."""
