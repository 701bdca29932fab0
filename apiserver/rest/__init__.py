"""The verbs: what a request means, and what it gets as answer."""
