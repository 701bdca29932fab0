"""The process that keeps one agent alive: pseudo-terminal, transcript, exit; it outlives the runner."""
