"""Hybrid attention: layers of several kinds, trained to find what was said long ago."""
