"""The plots of a report. Object interface of matplotlib only: no global figure, no display."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from acquaint_gym.envs.files import atomic
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.prediction import BINS, reliability
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.trace import Trace

# Okabe and Ito 2008, told apart by colour-blind readers; yellow is too pale on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vP"  # 7 and 6 have no common factor: 42 agents look different
_CURVE = ("turn", "mean", "low", "high")
# What is drawn where agents predict, and where they ask.
_PANELS = (
    {"accuracy": "accuracy (share of turns)", "nll": "negative log-likelihood (nats)"},
    {"log_score": "log score (nats)", "unasked_nll": "NLL of what was not asked (nats)"},
)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, see `envs.files.atomic`."""
    with atomic(path) as partial:
        figure.savefig(partial, format="png")


def panels_of(curves: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Metric -> label of the two panels of `learning_curves`."""
    drawn = {curve["metric"] for curve in curves}
    return next(panels for panels in _PANELS if set(panels) <= drawn)


def learning_curves(curves: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Two metrics by turn, one line an agent, 95 % bands over people.

    Args:
        curves: rows of `Report.curves` of one environment.
        title: of the figure.
    """
    figure, axes = _figure(title, height_ratios=(1, 1))
    styles = _styles(curve["agent"] for curve in curves)
    for axis, (metric, label) in zip(axes, panels_of(curves).items(), strict=True):
        for agent, style in styles.items():
            rows = [c for c in curves if c["agent"] == agent and c["metric"] == metric]
            columns = (np.array([row[name] for row in rows]) for name in _CURVE)
            _line(axis, *columns, label=agent, style=style)
        axis.set_ylabel(label)
    _turns(axes[-1])
    return _with_legend(figure, axes[:1])


def calibration(traces: Mapping[str, Trace], title: str) -> Figure:
    """Reliability diagram: confidence in the most probable category against frequency of hits.

    Points are the bins of the calibration error, larger where there are more decisions; error
    bars are 95 % bootstrap intervals over people; the lower panel counts the decisions.

    Args:
        traces: agent name -> trace, of one environment.
        title: of the figure.
    """
    figure, axes = _figure(title, height_ratios=(3, 1))
    axes[0].plot([0, 1], [0, 1], color="0.6", linewidth=1, label="perfect calibration")
    edges = np.linspace(0, 1, BINS + 1)
    for agent, style in _styles(traces).items():
        in_bin, confidence, hit = reliability(traces[agent])
        # What is NaN lies in no bin, but NaN times zero is NaN.
        values = np.nan_to_num(np.stack([np.ones_like(hit), hit, confidence], axis=-1))
        sums = np.einsum("ntb,ntv->nbv", in_bin.astype(np.float64), values)
        count, _, total_confidence = sums.sum(axis=0).T
        frequency = interval(sums, _frequency)
        used = count > 0
        mean = frequency.mean[used]
        x = total_confidence[used] / count[used]
        colour = style["color"]
        axes[0].plot(x, mean, color=colour, alpha=0.35, linewidth=1.2)
        axes[0].vlines(x, frequency.low[used], frequency.high[used], color=colour, linewidth=1.5)
        area = 15 + 150 * count[used] / count.max()
        axes[0].scatter(x, mean, area, label=agent, zorder=3, clip_on=False, **style)
        axes[1].stairs(np.where(count > 0, count, np.nan), edges, color=colour, linewidth=1.8)
    axes[0].set(ylabel="frequency of hits", xlim=(0, 1), ylim=(0, 1))
    axes[1].set(xlabel="probability of the most probable category", ylabel="decisions")
    axes[1].set_ylim(bottom=0)
    return _with_legend(figure, axes[:1])


def belief_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Correlation of belief and truth by turn: a panel a trait, a line an environment and agent.

    Bands are 95 % bootstrap intervals over people; what is undefined is not drawn.

    Args:
        rows: env, agent, trait, turn, mean, low, high, as `eval.belief.curves` makes them.
    """
    drawn = [row for row in rows if np.isfinite(row["mean"])]
    traits = list(dict.fromkeys(row["trait"] for row in rows))
    styles = _styles((row["env"], row["agent"]) for row in drawn)
    across = min(len(traits), 3)
    figure, axes = _canvas(-(-len(traits) // across), across, sharey=True)
    for axis, trait in zip(axes, traits, strict=False):
        axis.set_title(trait, fontsize=13)
        for (env, agent), style in styles.items():
            curve = [r for r in drawn if (r["trait"], r["env"], r["agent"]) == (trait, env, agent)]
            if not curve:
                continue
            columns = (np.array([row[name] for row in curve]) for name in _CURVE)
            _line(axis, *columns, label=f"{agent} on {env}", style=style)
    for axis in axes[len(traits) :]:
        axis.remove()
    axes[0].set_ylabel("correlation of belief and truth")
    axes[0].set_ylim(top=1)
    for axis in axes[max(0, len(traits) - across) : len(traits)]:
        _turns(axis)
    return _with_legend(figure, axes[: len(traits)])


def _frequency(means: Floats) -> Floats:
    """Hits per decision from mean statistics `[..., 3]`: decisions, hits, confidence."""
    return means[..., 1] / means[..., 0]


def _styles(names: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """Name -> colour and marker, in the order given."""
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), strict=False)
    return {
        name: {"color": colour, "marker": marker}
        for name, (colour, marker) in zip(dict.fromkeys(names), looks, strict=False)
    }


def _line(
    axis: Axes, turn: Floats, mean: Floats, low: Floats, high: Floats, *, label: str, style: Any
) -> None:
    """A curve by turn with its band."""
    axis.plot(turn, mean, label=label, markersize=5, linewidth=1.8, **style)
    axis.fill_between(turn, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _turns(axis: Axes) -> None:
    """Labels the axis of turns, of the lowest panel in a column."""
    axis.set_xlabel("turn")
    axis.tick_params(labelbottom=True)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _figure(title: str, *, height_ratios: tuple[int, int]) -> tuple[Figure, Any]:
    """Two panels, one above the other."""
    figure, axes = _canvas(2, 1, height_ratios=height_ratios)
    axes[0].set_title(title, fontsize=15, pad=12)
    return figure, axes


def _canvas(rows: int, columns: int, **layout: Any) -> tuple[Figure, Any]:
    """An empty figure, and its panels in one row of an array."""
    engine = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(12, 8), dpi=100, layout=engine)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False, **layout).ravel()
    for axis in axes:
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.label.set_size(13)
        axis.yaxis.label.set_size(13)
        axis.tick_params(labelsize=11)
    return figure, axes


def _with_legend(figure: Figure, labelled: Iterable[Axes]) -> Figure:
    """A figure with one legend for these panels; a name in several of them stands once."""
    legend: dict[str, Any] = {}
    for axis in labelled:
        handles, labels = axis.get_legend_handles_labels()
        legend = dict(zip(labels, handles, strict=True)) | legend
    columns = min(4, 120 // max(map(len, legend), default=1))
    figure.legend(
        legend.values(),
        legend.keys(),
        loc="outside lower center",
        ncols=max(columns, 1),
        frameon=False,
        fontsize=12,
    )
    return figure
