"""Probe dataload: what the input pipeline hands over, by workers."""
