"""Networks: addresses, ports, security groups, and notifying hosts of changes."""
