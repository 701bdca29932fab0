"""What the server does by itself: definitions, namespaces, garbage, old events, roles."""
