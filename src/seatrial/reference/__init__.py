"""The published MLPerf Training results and how a like-for-like reference is found among them."""
