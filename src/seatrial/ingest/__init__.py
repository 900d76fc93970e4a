"""Logs that someone else's run left behind."""
