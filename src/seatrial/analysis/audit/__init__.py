"""From logs that a team already has to the same findings as a study's, without running anything."""
