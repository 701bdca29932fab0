"""Git for runner and controller: the only place of either that starts it, and what it is given.

One fixed environment and configuration, credentials in memory, places that are opened and those
that are not, and what git says turned into a sentence.
"""
