"""A study beside an earlier one of one's own: like with like, metric by metric."""
