"""The chaos campaign: random changes under random faults, then an audit of everything. Started by `tools/chaos`."""
