"""Figures and the page; the only place that imports a plotting library."""
