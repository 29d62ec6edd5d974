"""Settings of all tests."""

import torch

# Two workers with two threads each on two cores wait for each other most of the time; and one
# thread makes sums reproducible.
torch.set_num_threads(1)
