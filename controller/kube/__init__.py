"""The one door to the Kubernetes API: every other package of the controller goes through it."""
