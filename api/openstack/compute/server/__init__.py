"""The published face of servers and everything below `/servers/{id}`."""
