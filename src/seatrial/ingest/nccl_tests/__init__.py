"""Output of nccl-tests that somebody hands over, as records of a study."""
