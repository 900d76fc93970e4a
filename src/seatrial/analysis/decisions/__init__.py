"""Decisions: figures of money and time that follow from measurements and stated assumptions, with intervals."""
