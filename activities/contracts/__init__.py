"""The doorway: frozen shapes and abstract activity signatures, one module per concern; no I/O.

A workflow calls the abstract method, an activity class overrides it with the same decorator, and the
type checker proves that both sides agree. Everything here is JSON on the wire, bounded, and free of
secrets and personal data.
"""
