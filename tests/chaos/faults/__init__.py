"""Faults by the kind of thing they hurt: what is done, to whom, when, and how it ends; one seed decides all.

Knows nothing of what must hold afterwards: that is the invariants' concern.
"""
