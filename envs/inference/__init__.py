"""Exact Bayesian inference about a person."""
