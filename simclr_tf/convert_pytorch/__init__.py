"""Makes checkpoints of PyTorch weights: `python -m simclr_tf.convert_pytorch`."""
