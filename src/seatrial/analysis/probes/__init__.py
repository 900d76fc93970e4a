"""What follows from the probes: tables in, tables out."""
