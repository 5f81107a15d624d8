"""Figures as inline SVG that takes its colours and its font from the page around it, in light and in dark."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from subtrain.system.plotting import matplotlib, new_figure

Array = NDArray[np.floating[Any]]

INK, QUIET, FAINT, MAIN, OTHER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05"
# Colours no figure needs as such: in the SVG each becomes the page's variable of that name.
VARIABLES = {INK: "--ink", QUIET: "--quiet", FAINT: "--line", MAIN: "--raise", OTHER: "--lower"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "subtrain",
    "font.family": "sans-serif",
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
}
DOTS = 400
TARGETS = 1500


def scores(lds: Array, ceiling: Array) -> str:
    """Histogram of every target's LDS, with the mean LDS and the mean noise ceiling, if it is known, as lines."""
    values, above = lds[np.isfinite(lds)], ceiling[np.isfinite(ceiling)]
    low = max(-1, np.floor(values.min() * 10) / 10)

    def paint(axes: Any) -> None:
        axes.hist(values, np.linspace(low, 1, 41), color=MAIN, alpha=0.55)
        _line(axes, float(values.mean()), MAIN, "mean LDS")
        if above.size:
            _line(axes, float(above.mean()), OTHER, "mean ceiling (upper bound)")
        axes.set(xlabel="LDS of one target", xlim=(low, 1.01))
        axes.locator_params(nbins=6)
        _above(axes, "targets")
        axes.legend(loc="upper left", handlelength=1.2, borderaxespad=0.2)

    return _svg("scores", paint, f"Histogram of LDS over {values.size} targets, mean {values.mean():.3f}")


def sorted_scores(lds: Array, ceiling: Array) -> str:
    """Every target's LDS, from the worst to the best, below its own noise ceiling."""
    there = np.flatnonzero(np.isfinite(lds) & np.isfinite(ceiling))
    order = there[np.argsort(lds[there], kind="stable")]
    places = spread(np.arange(order.size), TARGETS)
    low, high = np.min([lds[order], ceiling[order]]), np.max([lds[order], ceiling[order]])

    def paint(axes: Any) -> None:
        dots = {"markersize": 2.4, "markeredgewidth": 0, "alpha": 0.7}
        axes.plot(places + 1, ceiling[order[places]], "o", color=OTHER, label="noise ceiling (upper bound)", **dots)
        axes.plot(places + 1, lds[order[places]], "o", color=MAIN, label="LDS", **dots)
        axes.set(xlabel="targets, from the worst LDS to the best", ylim=(low - 0.02, max(1.0, high) + 0.02))
        _above(axes, "LDS")
        axes.legend(loc="lower right", handlelength=1, borderaxespad=0.2, markerscale=2)

    return _svg("sorted", paint, f"LDS of {order.size} targets, sorted, each with its noise ceiling (upper bound)")


def pooled(predicted: Array, actual: Array) -> str:
    """Density of actual against predicted outputs over (subset, target) pairs of all targets together."""

    def paint(axes: Any) -> None:
        low, high = _diagonal(axes, predicted, actual)
        cells = axes.hexbin(
            predicted.ravel(), actual.ravel(), gridsize=42, extent=(low, high, low, high), mincnt=1, linewidths=0
        )
        counts = np.log1p(cells.get_array())
        cells.set_array(None)
        cells.set_facecolor([(MAIN, alpha) for alpha in 0.12 + 0.83 * counts / counts.max()])

    return _svg("pooled", paint, f"Actual against predicted outputs, pooled: {predicted.size} pairs along the diagonal")


def scatter(predicted: Array, actual: Array, target: int) -> str:
    """Actual against predicted output of one target, one dot a held-out subset."""
    index = spread(np.arange(predicted.size), DOTS)

    def paint(axes: Any) -> None:
        _diagonal(axes, predicted, actual)
        axes.plot(predicted[index], actual[index], "o", color=MAIN, markersize=2.8, markeredgewidth=0, alpha=0.5)

    label = f"Actual against predicted output of target {target} on {index.size} held-out subsets"
    return _svg(f"target{target}", paint, label, size=(2.7, 2.3))


def spread(index: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of these numbers, evenly spaced."""
    return index if index.size <= most else index[np.linspace(0, index.size - 1, most).round().astype(np.int64)]


def _diagonal(axes: Any, predicted: Array, actual: Array) -> tuple[float, float]:
    """Square limits around all points, the diagonal, and faint lines at zero; returns the limits."""
    low = float(min(predicted.min(), actual.min()))
    high = float(max(predicted.max(), actual.max()))
    pad = 0.05 * (high - low) or 1.0
    low, high = low - pad, high + pad
    if low < 0 < high:
        axes.axhline(0, color=FAINT, linewidth=0.8)
        axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.plot([low, high], [low, high], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="predicted")
    axes.locator_params(nbins=5)
    _above(axes, "actual")
    return low, high


def _line(axes: Any, x: float, colour: str, name: str) -> None:
    axes.axvline(x, color=colour, linewidth=1.3, label=f"{name} {x:.3f}")


def _above(axes: Any, label: str) -> None:
    """The vertical axis's label, lying flat above it."""
    axes.set_title(label, loc="left", x=-0.1, pad=5)


def _svg(name: str, paint: Callable[[Any], None], label: str, size: tuple[float, float] = (3.5, 2.7)) -> str:
    library, file = matplotlib(), io.StringIO()
    with library.rc_context():
        library.rcdefaults()
        library.rcParams.update(STYLE)
        figure = new_figure(*size)
        axes = figure.add_axes((0.42 / size[0], 0.43 / size[1], 1 - 0.5 / size[0], 1 - 0.65 / size[1]))
        paint(axes)
        figure.savefig(file, format="svg", transparent=True)
    return _inline(file.getvalue(), name, label)


def _inline(text: str, name: str, label: str) -> str:
    """The SVG without anything global to the page: own ids, no style sheet, no namespaces, no fixed size or font."""
    root = ElementTree.fromstring(text)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        _clean(element, name)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    inline = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in VARIABLES.items():
        inline = inline.replace(colour, f"var({variable})")
    return inline


def _clean(element: ElementTree.Element, name: str) -> None:
    """Drop ids that nothing refers to, put the figure's name before the others, and leave the font to the page."""
    attributes = element.attrib
    if element.tag == "g":
        attributes.pop("id", None)
    if "id" in attributes:
        attributes["id"] = f"{name}-{attributes['id']}"
    for key in ("href", "clip-path"):
        if key in attributes:
            attributes[key] = attributes[key].replace("#", f"#{name}-")
    if "style" in attributes:
        kept = [part for part in attributes["style"].split("; ") if not part.startswith("font-family")]
        attributes["style"] = "; ".join(kept)
    element.tail = None
