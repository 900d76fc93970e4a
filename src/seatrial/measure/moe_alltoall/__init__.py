"""Probe moe_alltoall: dispatch and combine between ranks that share experts, under a declared load."""
