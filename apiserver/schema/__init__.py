"""Structural schemas of custom resources: prune, default, validate, CEL, and the CRDs themselves.

Everything here is pure: values in, values and :class:`~apiserver.schema.errors.FieldError` out.
"""
