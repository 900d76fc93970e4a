"""Procurement: what a proposed cluster would do with the model that comes next, and where it falls short."""
