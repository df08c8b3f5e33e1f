"""Takes the machine out of a recorded history: who ran it where, and the paths in its stack traces.

What a replay compares stays as it is.
"""

from typing import Any, Final

_BY_KEY: Final = {
    "identity": "somebody",
    "workerIdentity": "a worker",
    "stackTrace": "",
    "binaryChecksum": "",
    "buildId": "a build",
}


def neutral(recorded: Any) -> Any:
    """Gives the history's JSON without a trace of its machine."""
    if isinstance(recorded, dict):
        return {key: _BY_KEY.get(key, neutral(value)) for key, value in recorded.items()}
    if isinstance(recorded, list):
        return [neutral(part) for part in recorded]
    return recorded
