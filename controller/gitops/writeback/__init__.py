"""Write-back: what agents, people and the controller change of tickets that live in git.

A change is an operation: kept durably before anybody is told that it is accepted, merged field by
field into what the branch says by then, committed in the name of who asked, and pushed without
force. It ends landed, refused, or is still on its way.
"""
