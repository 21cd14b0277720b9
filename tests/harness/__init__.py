"""What functional, integration and crash tests (and the benchmarks) start: brokers, databases, processes, clouds."""
