"""What is computed from traces, and its intervals; metrics by kind of task, or by name.

What is measured of interviews is imported only where it is asked for.
"""

from __future__ import annotations

from acquaint_gym.eval.metrics.base import Metric
from acquaint_gym.eval.metrics.prediction import PREDICTION_METRICS

__all__ = ["Metric", "all_metrics", "metric_named", "metrics_of"]


def metrics_of(agent_asks: bool) -> dict[str, Metric]:
    """Name -> metric, of tasks in which agents ask, or of those in which they predict."""
    metrics = all_metrics() if agent_asks else PREDICTION_METRICS
    return {name: metric for name, metric in metrics.items() if metric.applies(agent_asks)}


def all_metrics() -> dict[str, Metric]:
    """Name -> metric, of all tasks."""
    from acquaint_gym.eval.metrics.interview import INTERVIEW_METRICS

    return {**PREDICTION_METRICS, **INTERVIEW_METRICS}


def metric_named(name: str) -> Metric:
    """The metric of a name.

    Raises:
        KeyError: there is none.
    """
    return PREDICTION_METRICS[name] if name in PREDICTION_METRICS else all_metrics()[name]
