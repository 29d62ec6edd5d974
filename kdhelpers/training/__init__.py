"""The loop that trains: `fit`, several students at once, checkpoints, devices."""
