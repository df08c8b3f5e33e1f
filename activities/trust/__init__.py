"""Who may decide what: signed statements, keys, persons and the rules of gates.

Pure but for reading a trust file: the server, custody and the offline verifier judge with this same code.
"""
