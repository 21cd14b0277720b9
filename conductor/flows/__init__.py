"""Flows only compose tasks; each module holds one verb: its flow, and what its end writes."""
