"""Every figure of the course: one function a figure, each returns a `Picture`.

A picture shows itself as the last line of a cell; its alternative text is composed from the data
that it draws, and `.figure` is the matplotlib `Figure`. What figures of arms take as results: see
`kdhelpers.stats`; their units are those of the tables. Colours are from the palette of Okabe and
Ito, which colour-blind readers can tell apart; what colour says is said by shape or text as well.
What a figure cannot draw, it refuses with a `ValueError` that begins with the figure's name.
"""

from kdhelpers.plots.claims import forest, misleading_bars, power_curve
from kdhelpers.plots.curves import log_series, stages
from kdhelpers.plots.diagrams import (
    compression_diagram,
    copied_layers,
    deployment_diagram,
    distillation_diagram,
    hint_diagram,
)
from kdhelpers.plots.drawing import ALONE, DISTILLED, NEUTRAL, PALETTE, TEACHER, Picture
from kdhelpers.plots.heatmaps import alpha_temperature_grid, confusion_change, soft_target_heatmap
from kdhelpers.plots.images import feature_maps, image_grid, pixel_deviation, soft_target_bars
from kdhelpers.plots.measures import accuracy_against_cost
from kdhelpers.plots.results import arms, paired_points
from kdhelpers.plots.slider import Slider, Sliders
from kdhelpers.plots.temperature import (
    entropy_curve,
    log_curves,
    temperature_bars,
    temperature_sweep,
    temperature_trajectories,
)
from kdhelpers.plots.transfer import transfer_curve

__all__ = ["ALONE", "DISTILLED", "NEUTRAL", "PALETTE", "TEACHER", "Picture", "Slider", "Sliders"]
__all__ += ["accuracy_against_cost", "alpha_temperature_grid", "arms", "compression_diagram"]
__all__ += ["confusion_change", "copied_layers", "deployment_diagram", "distillation_diagram"]
__all__ += ["entropy_curve", "feature_maps", "forest", "hint_diagram", "image_grid", "log_curves"]
__all__ += ["log_series", "misleading_bars", "paired_points", "pixel_deviation", "power_curve"]
__all__ += ["soft_target_bars", "soft_target_heatmap", "stages", "temperature_bars"]
__all__ += ["temperature_sweep", "temperature_trajectories", "transfer_curve"]
