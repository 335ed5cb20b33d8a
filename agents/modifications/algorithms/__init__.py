"""RL algorithm: how the behaviour learns from dreams."""
