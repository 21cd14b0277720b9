"""Resources: their relations, states, quota, locks, allocations, and the specs that travel to agents."""
