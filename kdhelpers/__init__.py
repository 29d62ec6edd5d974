"""The helpers behind the course on knowledge distillation: losses, models, data, one loop."""

__version__ = "0.1.0"
