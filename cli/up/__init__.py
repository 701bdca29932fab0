"""``agentsmesh up``: the API server, the controller and a runner on this machine, supervised."""
