"""What other services own and the Compute API once showed as well: thin views over their verbs, until it ended them."""
