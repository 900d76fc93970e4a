"""Results of storage benchmarks that somebody hands over, as records of a study."""
