"""The plots of a report. Object interface of matplotlib only: no global figure, no display."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
# Curves lie on each other if half of their points are closer than this share of the axis.
_CLOSE = 0.015
# Agents whose curves have their names at the end; more have a legend.
_MOST_LABELS = 12
# Decisions in a bin; of fewer the point is hollow and no line goes through it.
FEW = 30
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


def learning_curves(
    curves: Sequence[Mapping[str, Any]], title: str, bounds: Collection[str] = ()
) -> Figure:
    """Two metrics by turn, one line an agent, 95 % bands over people.

    Args:
        curves: rows of `Report.curves` of one environment.
        title: of the figure.
        bounds: agents that are no competitors but floor or ceiling; dotted, in grey.
    """
    figure, axes = _figure(title, height_ratios=(1, 1))
    styles = _styles((curve["agent"] for curve in curves), bounds)
    direct = len(styles) <= _MOST_LABELS
    for axis, (metric, label) in zip(axes, panels_of(curves).items(), strict=True):
        for agent, style in styles.items():
            rows = [c for c in curves if c["agent"] == agent and c["metric"] == metric]
            columns = (np.array([row[name] for row in rows]) for name in _CURVE)
            _line(axis, *columns, label=agent, style=style)
        axis.set_ylabel(label)
        axis.margins(x=0.01)
        _tell_apart(axis)
        if direct:
            _label_ends(axis)
    _turns(axes[-1])
    return figure if direct else _with_legend(figure, axes[:1])


def calibration(traces: Mapping[str, Trace], title: str) -> Figure:
    """Reliability diagram: confidence in the most probable category against frequency of hits.

    Points are the bins of the calibration error, larger where there are more decisions and hollow
    where there are fewer than 30; error bars are 95 % bootstrap intervals over people; the lower
    panel counts the decisions, on a logarithmic scale.

    Args:
        traces: agent name -> trace, of one environment.
        title: of the figure.
    """
    figure, axes = _figure(title, height_ratios=(3, 1))
    axes[0].plot([0, 1], [0, 1], color="0.6", linewidth=1, label="perfect calibration")
    edges = np.linspace(0, 1, BINS + 1)
    # Of points and steps that lie on each other the first show on all sides of the last.
    widths = np.linspace(3.5, 1.2, len(traces))
    for (agent, style), width in zip(_styles(traces).items(), widths, strict=True):
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
        many = count[used] >= FEW
        axes[0].plot(x[many], mean[many], color=colour, alpha=0.35, linewidth=1.2)
        area = (15 + 150 * count[used] / count.max()) * (0.5 + width / 4)
        for which, face, alpha in ((many, colour, 0.9), (~many, "none", 0.45)):
            low, high = frequency.low[used][which], frequency.high[used][which]
            axes[0].vlines(x[which], low, high, color=colour, linewidth=1.5, alpha=alpha)
            axes[0].scatter(
                x[which],
                mean[which],
                area[which],
                label=agent if face == colour else None,
                marker=style["marker"],
                facecolors=face,
                edgecolors="white" if face == colour else colour,
                linewidths=0.8,
                alpha=alpha,
                zorder=3,
                clip_on=False,
            )
        axes[1].stairs(np.where(count > 0, count, np.nan), edges, color=colour, linewidth=width)
    few = f"hollow: fewer than {FEW} decisions"
    axes[0].scatter([], [], 40, facecolors="none", edgecolors="0.4", label=few)
    axes[0].set(ylabel="frequency of hits", xlim=(0, 1), ylim=(0, 1))
    axes[1].set(xlabel="probability of the most probable category", ylabel="decisions")
    axes[1].set_yscale("log")
    axes[1].set_ylim(bottom=0.8)
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
        _tell_apart(axis)
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


def _styles(names: Iterable[Any], bounds: Collection[Any] = ()) -> dict[Any, dict[str, Any]]:
    """Name -> colour and marker, in the order given.

    Args:
        names: of what is drawn; may repeat.
        bounds: those that are floor or ceiling.
    """
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), strict=False)
    return {
        name: {"color": "0.45" if name in bounds else colour, "marker": marker}
        | ({"linestyle": ":"} if name in bounds else {})
        for name, (colour, marker) in zip(dict.fromkeys(names), looks, strict=False)
    }


def _line(
    axis: Axes, turn: Floats, mean: Floats, low: Floats, high: Floats, *, label: str, style: Any
) -> None:
    """A curve by turn with its band; a marker at every tenth of it or so."""
    every = (len(axis.lines) % 5, max(1, len(turn) // 10))
    look = {"linewidth": 1.8, "markersize": 6, "markevery": every, **style}
    axis.plot(turn, mean, label=label, **look)
    axis.fill_between(turn, low, high, color=style["color"], alpha=0.1, linewidth=0)


def _tell_apart(axis: Axes) -> None:
    """Of curves that lie on each other the first is made broad and pale, the others dashed."""
    bottom, top = axis.get_ylim()
    curves = [(line, np.asarray(line.get_ydata(), dtype=float)) for line in axis.lines]
    for index, (line, values) in enumerate(curves):
        for before, others in curves[:index]:
            if values.shape == others.shape and before.get_linestyle() == "-":
                apart = np.abs(values - others)
                if np.nanmedian(apart) < _CLOSE * (top - bottom):
                    before.set(linewidth=6, alpha=0.45)
                    line.set(linestyle=(0, (4, 2)))


def _label_ends(axis: Axes) -> None:
    """Writes the name of each line beside its end, one above the other where ends are close."""
    bottom, top = axis.get_ylim()
    ends = []
    for line in axis.lines:
        points = np.asarray(line.get_xydata(), dtype=float)
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            ends.append((points[-1], line))
    ends.sort(key=lambda end: end[0][1])
    places = spread_out([(end[1] - bottom) / (top - bottom) for end, _ in ends], gap=0.085)
    for (end, line), place in zip(ends, places, strict=True):
        axis.annotate(
            str(line.get_label()),
            xy=(end[0], end[1]),
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=12,
            color=line.get_color(),
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "linewidth": 0.8},
        )


def spread_out(values: Sequence[float], gap: float) -> list[float]:
    """Ascending numbers in 0..1, moved as little as need be for every two to be `gap` apart.

    `[0.5, 0.51, 0.9]` with a gap of 0.1 become `[0.5, 0.6, 0.9]`. More than fit into 0..1 begin at
    0 and go beyond 1.
    """
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else value)
    highest = 1.0
    for index in reversed(range(len(places))):
        places[index] = max(min(places[index], highest), index * gap)
        highest = places[index] - gap
    return places


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
