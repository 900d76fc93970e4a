"""What a machine or a cluster lacks for a study, and what to do about it (`seatrial doctor`)."""
