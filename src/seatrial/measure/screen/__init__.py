"""Probe screen: which nodes, devices and links are slow, found by few runs of groups of nodes."""
