"""The certificate authority: issues, reads and renews certificates. Knows nothing of gRPC."""
