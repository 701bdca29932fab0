"""What follows from tickets and pods as they are: the reconciler and the tools share it."""
