"""The durable, versioned store: what Kubernetes keeps in etcd, kept in one SQLite file."""
