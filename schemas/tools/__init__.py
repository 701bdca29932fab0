"""The 24 MCP tools: arguments and results of each, shared by runner and controller."""
