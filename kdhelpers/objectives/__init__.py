"""What a student is trained on: Supervised, Distillation, hints, and the teachers behind them."""
