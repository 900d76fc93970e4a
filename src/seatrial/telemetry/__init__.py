"""What a run says of itself and its machine: provenance."""
