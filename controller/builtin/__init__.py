"""The AgentClasses that come with the controller: YAML, and how it gets onto the API."""
