"""Exact Bayesian inference about a person."""

__all__ = ["posterior"]
