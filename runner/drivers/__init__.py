"""What the runner converges with: worktrees, sandboxes, terminals, agents."""
