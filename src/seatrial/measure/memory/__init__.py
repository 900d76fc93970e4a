"""Probe memory: bandwidth of the device's memory and of its way to the host."""
