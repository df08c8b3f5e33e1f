"""`python -m infra.demo`: the real stack, one real batch of 1,000 subjects, the public commands.

Starts the servers and workers that do not run, and leaves them running to be looked at.
"""

from infra.demo.play import Play
from infra.demo.run import run

if __name__ == "__main__":
    run(Play, name="demo", summary=__doc__ or "")
