from hypothesis import given
from hypothesis import strategies as st

from ablate.grid import arm_name, arms, cells
from ablate.study import CustomArm, Study, Toggle
from results.statistics.designs import DESIGNS, design_problem

BUNDLE = {"random_shift": {}}
ONE_BY_ONE = ("base", "full", "add_one_in", "leave_one_out")


def study_of(
    toggles: dict[str, tuple[str, ...]],
    designs=ONE_BY_ONE,
    games=("Pong",),
    seeds=(0,),
    named: tuple[tuple[str, ...], ...] = (),
):
    """A study over toggles (name -> levels, the first in full); designs that it can have."""
    study = Study.model_construct(
        name="s",
        question="?",
        designs=tuple(designs),
        games=tuple(games),
        seeds=tuple(seeds),
        env_frames=8,
        prefill_frames=0,
        toggles={
            name: Toggle(levels=dict.fromkeys(levels, BUNDLE), in_full=levels[0])
            for name, levels in toggles.items()
        },
        arms=tuple(CustomArm(on=on) for on in named),
    )
    possible = [one for one in study.designs if not design_problem(one, study.toggle_records)]
    return study.model_copy(update={"designs": tuple(possible)})


names = st.text("abcdefgh", min_size=1, max_size=3)
levels = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
studies = st.builds(
    study_of,
    st.dictionaries(names, levels, min_size=1, max_size=5),
    st.lists(st.sampled_from(DESIGNS), min_size=1, unique=True),
    st.lists(st.sampled_from(["Pong", "Assault", "Hero"]), min_size=1, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
)


@given(studies)
def test_arms_are_distinct_in_name_and_toggles(study: Study) -> None:
    found = arms(study)
    assert len({arm.name for arm in found}) == len(found)
    assert len({tuple(sorted(arm.on.items())) for arm in found}) == len(found)


@given(studies)
def test_base_and_full_come_first_when_they_are_asked_for(study: Study) -> None:
    wanted = [name for name in ("base", "full") if name in study.designs]
    assert [arm.name for arm in arms(study)][: len(wanted)] == wanted


@given(studies)
def test_the_grid_has_one_cell_per_arm_game_and_seed(study: Study) -> None:
    found = cells(study)
    assert len(set(found)) == len(found)
    assert len(found) == len(arms(study)) * len(study.games) * len(study.seeds)


@given(studies)
def test_all_cells_of_a_seed_come_before_the_next_seed(study: Study) -> None:
    order = [study.seeds.index(cell.seed) for cell in cells(study)]
    assert order == sorted(order)


@given(studies)
def test_within_a_seed_arms_keep_their_order(study: Study) -> None:
    order = [arm.name for arm in arms(study)]
    first = [cell.arm for cell in cells(study) if cell.seed == study.seeds[0]]
    assert list(dict.fromkeys(first)) == order
    assert [order.index(name) for name in first] == sorted(order.index(name) for name in first)


@given(studies, st.randoms())
def test_the_order_of_the_designs_does_not_matter(study: Study, random) -> None:
    shuffled = list(study.designs)
    random.shuffle(shuffled)
    assert arms(study.model_copy(update={"designs": tuple(shuffled)})) == arms(study)


@given(studies)
def test_the_number_of_arms_follows_from_the_designs(study: Study) -> None:
    study = study.model_copy(
        update={"designs": tuple(one for one in study.designs if one in ONE_BY_ONE)}
    )
    full = {name: toggle.in_full for name, toggle in study.toggles.items()}
    wanted = set()
    if "base" in study.designs:
        wanted.add(())
    if "full" in study.designs:
        wanted.add(tuple(full.items()))
    if "leave_one_out" in study.designs:
        wanted |= {tuple(item for item in full.items() if item[0] != name) for name in full}
    if "add_one_in" in study.designs:
        wanted |= {((n, level),) for n, toggle in study.toggles.items() for level in toggle.levels}
    assert {tuple(arm.on.items()) for arm in arms(study)} == wanted


def test_with_two_toggles_leaving_one_out_is_adding_the_other() -> None:
    names = [arm.name for arm in arms(study_of({"a": ("on",), "b": ("on",)}))]
    assert names == ["base", "full", "base+a", "base+b"]


def test_with_three_toggles_both_designs_have_arms_of_their_own() -> None:
    names = [arm.name for arm in arms(study_of(dict.fromkeys("abc", ("on",))))]
    assert names == ["base", "full", "base+a", "base+b", "base+c", "full-a", "full-b", "full-c"]


def test_a_factor_has_one_add_one_arm_per_level_and_one_leave_one_arm() -> None:
    study = study_of({"a": ("on",), "b": ("on",), "algorithm": ("ppo", "sac")})
    assert [arm.name for arm in arms(study)] == [
        "base",
        "full",
        "base+a",
        "base+b",
        "base+algorithm:ppo",
        "base+algorithm:sac",
        "full-a",
        "full-b",
        "full-algorithm",
    ]


def test_one_toggle_has_two_arms() -> None:
    assert [arm.name for arm in arms(study_of({"a": ("on",)}))] == ["base", "full"]


def test_a_mixed_arm_is_named_in_the_order_of_the_toggles() -> None:
    toggles = study_of({"a": ("on",), "b": ("x", "y"), "c": ("on",)}).toggles
    assert arm_name({"b": "y", "a": "on"}, toggles) == "base+a+b:y"
    assert arm_name({"a": "on", "b": "y", "c": "on"}, toggles) == "base+a+b:y+c"
    assert arm_name({"a": "on", "b": "x"}, toggles) == "full-c"


def test_the_small_study_has_sixteen_runs(parsed) -> None:
    assert len(cells(parsed().study)) == 4 * 2 * 2


SIX = dict.fromkeys("abcdef", ("on",))


def test_the_arms_of_the_first_four_designs_keep_their_order_beside_others() -> None:
    alone = arms(study_of(SIX))
    assert arms(study_of(SIX, designs=(*ONE_BY_ONE, "pairs_in", "fractional")))[:14] == alone


def test_what_the_full_agent_lacks_names_an_arm_where_that_is_shorter() -> None:
    toggles = study_of(SIX).toggles
    on = dict.fromkeys("abcdef", "on")
    assert arm_name({t: on[t] for t in "bcde"}, toggles) == "full-a-f"
    assert arm_name({t: on[t] for t in "abc"}, toggles) == "base+a+b+c"
    four = study_of(dict.fromkeys("abcd", ("on",))).toggles
    assert arm_name({t: on[t] for t in "cd"}, four) == "base+c+d"


def test_a_pair_of_levels_of_one_factor_is_in_no_design() -> None:
    study = study_of({"a": ("on",), "b": ("x", "y")}, designs=("pairs_in", "factorial"))
    assert [arm.name for arm in arms(study)] == [
        "base",
        "base+a",
        "base+b:x",
        "base+b:y",
        "full",
        "base+a+b:y",
    ]


def test_a_named_arm_comes_after_the_designs_and_once() -> None:
    study = study_of(
        {"a": ("on",), "b": ("x", "y"), "c": ("on",)},
        designs=("base",),
        named=(("c", "b:y"), ("c:on",), (), ("c", "a", "b:x")),
    )
    assert [arm.name for arm in arms(study)] == ["base", "base+b:y+c", "base+c", "full"]
    assert dict(arms(study)[1].on) == {"b": "y", "c": "on"}


def test_an_arm_is_named_if_the_study_asks_for_it_itself() -> None:
    study = study_of(SIX, designs=("base", "fractional"), named=(("a", "b"),))
    assert [arm.name for arm in arms(study) if arm.named] == ["base", "base+a+b"]


def test_a_fraction_runs_whole_on_every_seed_in_turn() -> None:
    study = study_of(SIX, designs=("fractional",), games=("Pong", "Hero"), seeds=(4, 2))
    found = cells(study)
    assert [cell.seed for cell in found] == [4] * 64 + [2] * 64
    assert {cell.arm for cell in found[:64]} == {arm.name for arm in arms(study)}
