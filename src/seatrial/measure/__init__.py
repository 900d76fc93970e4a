"""Probes and the session that runs them on every rank."""
