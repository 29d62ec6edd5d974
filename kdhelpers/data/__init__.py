"""Data sets as tensors in memory, and the batches made from them."""

from kdhelpers.data.batching import Batch, Views, batches, steps_per_epoch
from kdhelpers.data.images import mean_std, resize
from kdhelpers.data.own import from_arrays, from_dataset
from kdhelpers.data.sets import DataSet, load
from kdhelpers.data.sources import DataError, data_root
from kdhelpers.data.split import Split

__all__ = ["Batch", "DataError", "DataSet", "Split", "Views", "batches", "data_root", "load"]
__all__ += ["from_arrays", "from_dataset", "mean_std", "resize", "steps_per_epoch"]
