"""Closed, frozen schemas of everything a user declares, and the loader that turns mistakes into one clear error."""
