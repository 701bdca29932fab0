"""The process that keeps one agent alive: it holds the terminal and outlives the runner."""
