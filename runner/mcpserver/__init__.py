"""The MCP server of every pod here: who calls, what is let in, and the way to the controller."""
