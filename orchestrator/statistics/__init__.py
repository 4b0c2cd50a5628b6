"""Estimates, paired tests, variance components, importance of hyperparameters, Pareto sets."""
