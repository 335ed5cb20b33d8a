import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.runspec import ArmTexts, RunSpec, canonical_json, differences, plain, read_json

SPEC = RunSpec(
    agent={"config": {"units": 16, "clip": math.inf}, "views": [{"name": "random_shift"}]},
    agent_version=1,
    game="Pong",
    seed=3,
    protocol={"noop_max": 30},
    budget={"env_frames": 100, "prefill_frames": 10},
    precision="fp32",
    config={"units": 16, "clip": math.inf},
    modifications=(("random_shift", {"pad": 3}),),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": {"config": {"units": 17}}},
        {"agent_version": 2},
        {"game": "Assault"},
        {"seed": 4},
        {"protocol": {"noop_max": 0}},
        {"budget": {"env_frames": 101, "prefill_frames": 10}},
        {"precision": "bf16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_determinant_changes_the_identity(change: dict[str, object]) -> None:
    other = replace(SPEC, **change)
    assert other.identity != SPEC.identity
    assert (other.arm_identity == SPEC.arm_identity) == bool({"game", "seed"} & change.keys())


@given(st.text(), st.integers(min_value=0))
def test_the_texts_of_an_arm_are_those_of_its_runs(game: str, seed: int) -> None:
    own = replace(SPEC, game=game, seed=seed)
    texts = ArmTexts.of(replace(SPEC, proofs={"random_shift": ("shifted", 0.0)}))
    assert texts.identity(game, seed) == own.identity
    proved = replace(own, proofs={"random_shift": ("shifted", 0.0)})
    assert texts.specification(game, seed) == proved.to_json()


def test_how_an_agent_is_spelled_does_not_change_the_identity() -> None:
    assert replace(SPEC, config={}, modifications=()).identity == SPEC.identity


def test_every_field_is_a_determinant_or_spelling() -> None:
    spelling = {"config", "modifications", "proofs"}
    assert set(SPEC.determinants) | spelling == set(RunSpec.__dataclass_fields__)


def test_whole_numbers_are_the_same_in_both_kinds() -> None:
    assert canonical_json({"a": 16.0}) == canonical_json({"a": 16}) == '{"a":16}'
    assert canonical_json(True) != canonical_json(1)


def test_infinity_is_written_out_and_read_back() -> None:
    text = canonical_json([math.inf, -math.inf])
    assert text == '["Infinity","-Infinity"]'
    assert read_json(text) == [math.inf, -math.inf]


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        canonical_json({"a": [math.nan]})


def test_what_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": object()})


@given(values)
def test_canonical_json_is_strict_json_and_stable(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text, parse_constant=pytest.fail) == plain(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), values))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_a_specification_survives_its_json() -> None:
    again = RunSpec.from_json(SPEC.to_json())
    assert again == SPEC
    assert again.identity == SPEC.identity
    assert again.to_json() == SPEC.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"modifications": 3}', "nonsense"])
def test_other_text_is_no_specification(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's own message for text that is no JSON)
        RunSpec.from_json(text)


def test_differences_name_path_and_both_sides() -> None:
    other = replace(SPEC, seed=4, agent={"config": {"units": 16}, "views": []})
    found = {d.path: (d.left, d.right) for d in differences(SPEC.determinants, other.determinants)}
    assert found == {
        "agent.config.clip": ('"Infinity"', None),
        "agent.views": (None, "[]"),
        "agent.views[0].name": ('"random_shift"', None),
        "seed": ("3", "4"),
    }


@given(values, values)
def test_values_differ_exactly_when_their_canonical_json_does(left: object, right: object) -> None:
    differ = canonical_json([left]) != canonical_json([right])
    assert bool(differences([left], [right])) == differ
