"""What a model costs, beside how often it is right."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from kdhelpers._values import is_number, require
from kdhelpers.plots.drawing import PALETTE, Drawn, count_text, drawing, plain_decades, subplots
from kdhelpers.stats.tables import measured_costs


@drawing
def accuracy_against_cost(
    costs: Mapping[str, Any], *, latency: str = "milliseconds for one image"
) -> Drawn:
    """Accuracy (%) against the number of parameters and against the latency, a point a model.

    Args:
        costs: model → what was measured of it, as for `tables.cost_table`; or (parameters,
            milliseconds, accuracy in 0..1).
        latency: what the milliseconds are of.

    Raises:
        ValueError: no model, a cost that is not above 0, or an accuracy outside 0..1.
    """
    rows = {}
    for name, cost in costs.items():
        plain = not isinstance(cost, Mapping) and is_number(cost[0])
        measured = measured_costs({name: ((cost[0], 0), *cost[1:]) if plain else cost})[name]
        rows[name] = [measured[key] for key in ("parameters", "latency_ms", "accuracy")]
        told = f"both costs must be above 0, but {name!r} has {rows[name][:2]}."
        require(min(rows[name][:2]) > 0, told)
    require(rows, "there is nothing to draw; give at least one model.")
    figure, panels = subplots(7.4, 4.0, 1, 2, sharey=True)
    for column, (axes, xlabel) in enumerate(zip(panels, ("parameters", latency), strict=True)):
        for (name, row), colour, marker in zip(rows.items(), cycle(PALETTE), cycle("osD^vP*")):
            # Hollow, so that what lies on one point can be told apart.
            how = {"color": colour, "markersize": 10, "mew": 2, "fillstyle": "none"}
            axes.plot(row[column], 100 * row[2], marker, label=name, **how)
        axes.set_xscale("log")
        plain_decades(axes.xaxis, [row[column] for row in rows.values()])
        axes.set_xlabel(xlabel)
        axes.margins(0.12)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy (%)")
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    said = [
        f"{name} {100 * accuracy:.2f} % with {count_text(parameters)} parameters in {ms:.2f}"
        for name, (parameters, ms, accuracy) in sorted(rows.items(), key=lambda row: -row[1][2])
    ]
    return figure, (
        f"Test accuracy in % against the number of parameters and against {latency}, both "
        f"logarithmic, from the most accurate: {'; '.join(said)}."
    )
