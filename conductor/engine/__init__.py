"""Running operations: persistence of flows, one run, and the pool of workers with its leases."""
