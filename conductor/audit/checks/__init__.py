"""What can be wrong with a cloud: one module and one class for each, listed in `conductor.audit.registry`."""
