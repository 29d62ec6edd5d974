"""The helpers behind the course on knowledge distillation: losses, models, data, one loop."""

import os

# Has to be said before PyTorch is loaded: how long an idle OpenMP thread (of GNU's library, as
# on Linux) spins before it sleeps. Measured on two cores with the networks of lesson 01: the
# speed of a quiet machine stays, and with one core kept busy by another program, training is
# four to six times faster than with the library's default.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__version__ = "0.1.0"
