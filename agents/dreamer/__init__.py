"""The mathematics of DreamerV2, in the order in which the data flows."""
