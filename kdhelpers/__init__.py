"""The helpers behind the course on knowledge distillation: losses, models, data, one loop."""

import os

# Has to be said before PyTorch is loaded: how long an idle OpenMP thread (of GNU's library, as
# on Linux) spins before it sleeps. Measured on two cores with the networks of lesson 01: on a
# quiet machine as fast as endless spinning; with one core kept busy by another program, 5 s
# (teacher) and 4 s (student) in place of 20 s and 27 s.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__version__ = "0.1.0"
