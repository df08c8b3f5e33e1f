"""A batch's positions cut into waves, shards and slices."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.shapes import SLICE_SIZE
from workflows.batch_plan import Shard, plan_shards, plan_slices, plan_waves
from workflows.limits import SHARDS_PER_RUN, SLICES_PER_SHARD

SUBJECTS_MAX = 10_000_000
SHARD_SIZE = SLICE_SIZE * SLICES_PER_SHARD

counts = st.integers(1, SUBJECTS_MAX)
rising = st.sets(st.integers(1, 99), max_size=19).map(lambda found: [*sorted(found), 100])


@given(counts, rising)
def test_waves_hold_everybody_once(count: int, percents: list[int]) -> None:
    """Waves follow each other without gap or overlap, none is empty, and they are counted from 1."""
    waves = plan_waves(count=count, percents=percents)
    assert waves[0].offset == 0
    assert waves[-1].offset + waves[-1].length == count
    assert all(a.offset + a.length == b.offset for a, b in pairwise(waves))
    assert all(wave.length > 0 for wave in waves)
    assert [wave.wave for wave in waves] == list(range(1, len(waves) + 1))


@given(counts, rising)
def test_a_wave_ends_at_its_share_rounded_up(count: int, percents: list[int]) -> None:
    """Shares are of the whole batch and cumulative; rounding gives at most one subject more."""
    for wave in plan_waves(count=count, percents=percents):
        exact = count * wave.percent / 100
        assert exact <= wave.offset + wave.length < exact + 1


def test_shares_too_small_for_anybody_fall_together() -> None:
    """Of three subjects one percent is one subject, and ten percent then holds nobody more."""
    waves = plan_waves(count=3, percents=[1, 10, 50, 100])
    assert [(wave.wave, wave.offset, wave.length, wave.percent) for wave in waves] == [
        (1, 0, 1, 1),
        (2, 1, 1, 50),
        (3, 2, 1, 100),
    ]


def test_a_wave_of_a_million_is_exact() -> None:
    """Whole percents of round numbers need no rounding; no floating point is in it."""
    waves = plan_waves(count=1_000_000, percents=[1, 10, 50, 100])
    assert [wave.length for wave in waves] == [10_000, 90_000, 400_000, 500_000]


@given(st.integers(0, SUBJECTS_MAX), st.integers(0, 300_000))
def test_shards_and_slices_cover_a_run_once(offset: int, length: int) -> None:
    """Every position is in exactly one slice, in order, and slices are numbered through the stage."""
    slices = [piece for shard in plan_shards(offset=offset, length=length) for piece in plan_slices(shard)]
    assert [piece.slice_index for piece in slices] == list(range(len(slices)))
    assert [piece.offset for piece in slices] == [offset + at * SLICE_SIZE for at in range(len(slices))]
    assert sum(piece.length for piece in slices) == length
    assert all(piece.length == SLICE_SIZE for piece in slices[:-1])


@given(st.integers(1, SUBJECTS_MAX))
def test_only_the_last_shard_is_shorter(length: int) -> None:
    """So that the roots of slices compose into the batch's."""
    shards = plan_shards(offset=0, length=length)
    assert all(shard.length == SHARD_SIZE for shard in shards[:-1])
    assert 0 < shards[-1].length <= SHARD_SIZE
    assert [shard.shard_index for shard in shards] == list(range(len(shards)))


def test_nobody_is_no_shard_and_no_wave() -> None:
    """An empty run starts no child."""
    assert plan_shards(offset=0, length=0) == []
    assert plan_waves(count=0, percents=[1, 100]) == []


def test_a_shard_of_exactly_one_slice() -> None:
    """The boundary makes no empty slice after it."""
    (only,) = plan_slices(Shard(shard_index=3, offset=7, length=SLICE_SIZE, first_slice_index=30))
    assert (only.slice_index, only.offset, only.length) == (30, 7, SLICE_SIZE)


def test_the_largest_batch_renews_its_run_in_time() -> None:
    """Ten million subjects are under a thousand shards, worked in groups that fit one history."""
    shards = plan_shards(offset=0, length=SUBJECTS_MAX)
    assert len(shards) == -(-SUBJECTS_MAX // SHARD_SIZE)
    assert len(shards) > SHARDS_PER_RUN
