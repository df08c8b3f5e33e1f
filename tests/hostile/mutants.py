"""Good things with something wrong in them: what a fuzzer that knows the format would send."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.hostile.strings import OWN

ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1.5, 2**53, 10**30, "", [], {}, [[]], {"": None}, *OWN[:60]]),
    st.text(max_size=12),
)
"""Values of any JSON kind."""


def places_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside of a JSON value, itself included."""
    within: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        within = list(value.items())
    elif isinstance(value, list):
        within = list(enumerate(value))
    return [path, *(place for key, item in within for place in places_of(item, (*path, key)))]


def _copy(value: Any) -> Any:
    """What is drawn may be changed by a later draw, and is drawn again."""
    return json.loads(json.dumps(value))


@st.composite
def changed_json(draw: st.DrawFn, good: Any) -> Any:
    """A copy with up to three values replaced, taken away, or added beside."""
    value = _copy(good)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places_of(value)))
        if not place:
            continue
        within = value
        for step in place[:-1]:
            within = within[step]
        how = draw(st.sampled_from(["replace", "remove", "add"]))
        if how == "replace":
            within[place[-1]] = _copy(draw(ODD))
        elif how == "remove":
            del within[place[-1]]
        elif isinstance(within, dict):
            within[draw(st.text(max_size=8))] = _copy(draw(ODD))
        else:
            within.append(_copy(draw(ODD)))
    return value


@st.composite
def changed_bytes(draw: st.DrawFn, good: bytes, words: Sequence[bytes] = ()) -> bytes:
    """A copy with up to four cuts, doublings, foreign bytes or words of the format put in anywhere."""
    content = good
    for _ in range(draw(st.integers(1, 4))):
        at, upto = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        put = draw(st.one_of(st.binary(max_size=6), st.sampled_from([b"", *words])))
        how = draw(st.sampled_from(["insert", "replace", "double"]))
        if how == "insert":
            content = content[:at] + put + content[at:]
        elif how == "replace":
            content = content[:at] + put + content[min(upto, at + 20) :]
        else:
            content = content[:upto] + content[at:upto][:200] + content[upto:]
    return content


def changed_text(good: str, words: Sequence[str] = ()) -> st.SearchStrategy[str]:
    """The same for a text."""
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    return changed_bytes(good.encode(), encoded).map(lambda raw: raw.decode("utf-8", "replace"))
