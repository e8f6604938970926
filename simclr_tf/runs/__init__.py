"""What the workflows share about a run: its identity, folder, plan, first weights and training."""
