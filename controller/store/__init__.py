"""The message store: what is not in etcd. Messages, documents, memberships, prompts to deliver.

One interface, ``messages.MessageStore``, on SQLite or PostgreSQL; ``open.opened`` gives one.
"""
