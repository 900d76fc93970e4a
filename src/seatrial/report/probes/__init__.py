"""What the probes say, on the page."""
