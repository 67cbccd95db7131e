"""Everything that produces weights: CT factory, augmentation, losses and the training loop."""
