"""The runner: converges the pods of one machine to what the controller wants."""
