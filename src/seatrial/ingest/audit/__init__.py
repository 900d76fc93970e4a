"""Logs that a team already has, read without running anything: telemetry, profiles and trainings of other programs.

One module a format. A reader takes what it knows, counts what it does not, and guesses nothing.
"""
