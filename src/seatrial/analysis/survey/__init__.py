"""What the published results say by themselves: spread, medians, scaling, rounds, cost, and claims about them."""
