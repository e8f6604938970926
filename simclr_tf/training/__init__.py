"""What trains: networks with a training step, and what happens beside it."""
