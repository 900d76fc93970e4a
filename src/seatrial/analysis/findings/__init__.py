"""What holds a workload back: causes with their evidence, by linking the probes to the training."""
