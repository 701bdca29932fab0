"""What the tools of agents do: one handler each, behind one dispatcher."""
