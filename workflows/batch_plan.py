"""Pure: a batch's positions as waves, shards and slices; the same input gives the same plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from activities.contracts.shapes import SLICE_SIZE
from workflows.limits import SLICES_PER_SHARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The run [offset, offset + length) that one child works; slices are numbered through the stage."""

    shard_index: int
    offset: int
    length: int
    first_slice_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The run [offset, offset + length) that one activity call works."""

    slice_index: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The run of positions activated together; waves are counted from 1."""

    wave: int
    offset: int
    length: int
    percent: int


def plan_shards(*, offset: int, length: int) -> list[Shard]:
    """Cuts a run of positions into shards of whole slices; only the last may be shorter."""
    size = SLICE_SIZE * SLICES_PER_SHARD
    return [
        Shard(
            shard_index=index,
            offset=offset + start,
            length=min(size, length - start),
            first_slice_index=index * SLICES_PER_SHARD,
        )
        for index, start in enumerate(range(0, length, size))
    ]


def plan_slices(shard: Shard) -> Iterator[Slice]:
    """Cuts a shard into slices in order."""
    for step, start in enumerate(range(0, shard.length, SLICE_SIZE)):
        yield Slice(
            slice_index=shard.first_slice_index + step,
            offset=shard.offset + start,
            length=min(SLICE_SIZE, shard.length - start),
        )


def plan_waves(*, count: int, percents: Sequence[int]) -> list[Wave]:
    """Gives the waves that hold anybody; shares are cumulative and rounded up: the first is never empty."""
    waves: list[Wave] = []
    start = 0
    for percent in percents:
        end = -(-count * percent // 100)
        if end > start:
            waves.append(Wave(wave=len(waves) + 1, offset=start, length=end - start, percent=percent))
            start = end
    return waves
