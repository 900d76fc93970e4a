"""Probe gemm: matrix products, of one shape or the best of many, in a burst and for a while."""
