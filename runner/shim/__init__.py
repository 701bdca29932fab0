"""The process that keeps one agent alive: it holds terminal and MCP socket beyond the runner."""
