"""Sanctions lists in the authorities' own formats, read into one frozen shape.

A list that is missing, stale, cut short or malformed is refused; nothing here ever reads one as empty.
"""
