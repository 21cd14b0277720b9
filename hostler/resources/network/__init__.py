"""Networks: addresses, ports, security groups, and telling hosts about changes."""
