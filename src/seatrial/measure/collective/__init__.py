"""Probe collective: time and bandwidth of the collectives over all ranks, as nccl-tests defines them.

The time of an iteration is the maximum over ranks (nccl-tests averages by default). Formulas: NVIDIA/nccl-tests
doc/PERFORMANCE.md.
"""
