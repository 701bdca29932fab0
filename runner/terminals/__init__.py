"""Views onto the terminals of this runner's pods, for people far away."""
