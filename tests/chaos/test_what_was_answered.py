"""What was answered is durable."""

from tests.chaos.answered import keep_answers
from tests.chaos.ordeal import Ordeal

ROUNDS = 2
"""A message and a start."""


async def test_nothing_that_was_answered_is_lost(ordeal: Ordeal) -> None:
    """Database and engine are killed with every answer, and each answer is found again."""
    assert await keep_answers(ordeal.office, ROUNDS, lambda _: None) == []
