"""A hypervisor without guests, for tests and scale trials; can be told to fail, to be slow and to crash."""
