"""An embedded, single-node Kubernetes API: what a laptop uses instead of a cluster."""
