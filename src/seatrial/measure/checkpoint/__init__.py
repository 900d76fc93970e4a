"""The probe checkpoint: how fast a model's state reaches storage and comes back, with evidence that it did."""
