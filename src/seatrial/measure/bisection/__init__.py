"""Probe bisection: what crosses the middle of the fabric, and which pair is slow."""
