"""Not a result: the submitted code."""
