"""``agentsmesh plan``: what a commit would change, told before it is pushed or merged.

``place`` finds the commit, ``cluster`` reads what is there, ``settings`` finds the GitSource whose
settings count. What the controller's sync would do is decided by the very parts that it is made of
(``sync``); what follows for pods is worked out from that (``afterwards``, ``pods``, ``runs``, all
pure). ``values`` is the plan, ``text`` and ``document`` show it. Nothing is written anywhere.
"""
