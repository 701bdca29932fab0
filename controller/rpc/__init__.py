"""The gRPC edge: who may call what, and the translation between the wire and the services."""
