"""Key arithmetic: paths, mnemonics, extended keys, addresses and signatures.

Pure functions of their arguments: no clock, no network, no settings, no log. Errors carry a fixed sentence
and never the value that was refused, because that value may be a key.
"""
