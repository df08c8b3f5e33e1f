"""The one error of the key arithmetic; its sentences are fixed and never repeat the refused value."""


class KeyMaterialError(ValueError):
    """A path, mnemonic, extended key, seed or random sample breaks its specification."""
