"""Trainings to a stated quality: one loop, one module per workload."""
