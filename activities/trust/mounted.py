"""The trust file as a worker has it mounted: read anew each time, so that a change counts at once.

One that is missing or cannot be used is the deployment's trouble, nobody's refusal: whoever needs it waits.
"""

from pathlib import Path

from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.trust.trust_file import Trust, load_trust


def mounted_trust(path: Path) -> Trust:
    """Gives whom this deployment trusts now.

    Raises: ServiceUnavailableError while the file cannot be used; `load_trust` tells an operator why.
    """
    try:
        return load_trust(path)
    except InvalidRequestError:
        raise ServiceUnavailableError("trust file") from None
