"""Tasks that change records alone, and what tasks read of them."""
