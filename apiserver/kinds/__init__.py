"""The kinds that are served: what they are called, and the rules that each of them follows."""
