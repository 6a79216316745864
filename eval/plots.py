"""The plots of a report. Object interface of matplotlib only: no global figure, no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from eval.metrics import BINS, reliability
from eval.stats import Floats, interval
from eval.trace import Trace

# Okabe and Ito 2008, told apart by colour-blind readers; yellow is too pale on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vP"  # 7 and 6 have no common factor: 42 agents look different
_PANELS = {"accuracy": "accuracy (share of turns)", "nll": "negative log-likelihood (nats)"}


def learning_curves(curves: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Accuracy and negative log-likelihood by turn, one line an agent, 95 % bands over people.

    Args:
        curves: rows of `Report.curves` of one environment.
        title: of the figure.
        path: a `.png`, overwritten.
    """
    figure, axes = _figure(title, height_ratios=(1, 1))
    styles = _styles(curve["agent"] for curve in curves)
    for axis, (metric, label) in zip(axes, _PANELS.items(), strict=True):
        for agent, style in styles.items():
            rows = [c for c in curves if c["agent"] == agent and c["metric"] == metric]
            turn, mean, low, high = (
                np.array([row[name] for row in rows]) for name in ("turn", "mean", "low", "high")
            )
            axis.plot(turn, mean, label=agent, markersize=5, linewidth=1.8, **style)
            axis.fill_between(turn, low, high, color=style["color"], alpha=0.18, linewidth=0)
        axis.set_ylabel(label)
    axes[-1].set_xlabel("turn")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _save(figure, axes[0], path)


def calibration(traces: Mapping[str, Trace], title: str, path: Path) -> None:
    """Reliability diagram: confidence in the most probable category against frequency of hits.

    Points are the bins of the calibration error, larger where there are more decisions; error
    bars are 95 % bootstrap intervals over people; the lower panel counts the decisions.

    Args:
        traces: agent name -> trace, of one environment.
        title: of the figure.
        path: a `.png`, overwritten.
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
    _save(figure, axes[0], path)


def _frequency(means: Floats) -> Floats:
    """Hits per decision from mean statistics `[..., 3]`: decisions, hits, confidence."""
    return means[..., 1] / means[..., 0]


def _styles(agents: Any) -> dict[str, dict[str, Any]]:
    """Agent -> colour and marker, in the order given."""
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), strict=False)
    names = dict.fromkeys(agents)
    return {
        name: {"color": colour, "marker": marker}
        for name, (colour, marker) in zip(names, looks, strict=False)
    }


def _figure(title: str, *, height_ratios: tuple[int, int]) -> tuple[Figure, Any]:
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(12, 8), dpi=100, layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1, sharex=True, height_ratios=height_ratios)
    axes[0].set_title(title, fontsize=15, pad=12)
    for axis in axes:
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.label.set_size(13)
        axis.yaxis.label.set_size(13)
        axis.tick_params(labelsize=11)
    return figure, axes


def _save(figure: Figure, labelled: Axes, path: Path) -> None:
    handles, labels = labelled.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
