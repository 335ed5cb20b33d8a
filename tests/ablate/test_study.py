import re

import pytest

from ablate import study
from ablate.runspec import sha256
from ablate.study import StudyError, parse_study, read_study
from agents import config

CANONICAL = """
name = "atari100k_leave_one_out"       # = file name
question = "Which modifications carry the gain over plain DreamerV2 on Atari-100k?"
designs = ["base", "full", "leave_one_out", "add_one_in"]
games = ["Pong", "CrazyClimber", "Assault"]
seeds = 5                              # 5 means 0..4; or a list
env_frames = 400_000
prefill_frames = 20_000
protocol = "atari100k"                 # or "dreamerv2", or a [protocol] table
[agent]                                # applies to every arm, the base included
size = "atari"
env_frames_per_update = 16
[toggles.augmentation]                 # a toggle is a bundle of modifications
random_shift = { pad = 3 }
[toggles.ratio]
replay_ratio = { env_frames_per_update = 4 }
[toggles.algorithm]                    # a factor with levels
levels = { ppo = { ppo = {} }, sac = { sac = {} } }
in_full = "ppo"                        # required when there is more than one level
"""


@pytest.fixture
def problem(parsed):
    def explain(*changes: tuple[str, str]) -> str:
        with pytest.raises(StudyError) as error:
            parsed(*changes)
        return str(error.value)

    return explain


def test_the_canonical_study_file_is_read() -> None:
    study = parse_study(CANONICAL, path="x.toml", stem="atari100k_leave_one_out").study
    assert study.seeds == (0, 1, 2, 3, 4)
    assert study.protocol == {"base": "atari100k"}
    assert study.toggles["augmentation"].levels == {"on": {"random_shift": {"pad": 3}}}
    assert study.toggles["augmentation"].in_full == "on"
    assert list(study.toggles["algorithm"].levels) == ["ppo", "sac"]
    assert study.toggles["algorithm"].in_full == "ppo"


def test_seeds_may_be_listed(parsed) -> None:
    assert parsed(("seeds = 2", "seeds = [7, 3]")).study.seeds == (7, 3)


def test_a_factor_with_one_level_needs_no_in_full(parsed) -> None:
    change = ("random_shift = { pad = 3 }", "levels = { shift = { random_shift = {} } }")
    assert parsed(change).study.toggles["augmentation"].in_full == "shift"


def test_a_study_is_frozen(parsed) -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed().study.env_frames = 3


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        ("designs =", "desings =", "desings", "nearest: designs"),
        ("games =", "gmaes =", "gmaes", "nearest: games"),
        ('"leave_one_out"', '"leave_one_in"', "designs[2]", "nearest: leave_one_out"),
        ("env_frames = 2_000", 'env_frames = "4"', "env_frames", "valid integer"),
        ("env_frames = 2_000", "env_frames = 2000.0", "env_frames", "valid integer"),
        ("env_frames = 2_000", "env_frames = true", "env_frames", "valid integer"),
        ("env_frames = 2_000", 'env_frames = "scaled!"', "env_frames", '"scaled"'),
        ("prefill_frames = 400", "prefill_frames = -4", "prefill_frames", "equal to 0"),
        ("prefill_frames = 400", "prefill_frames = 401", "prefill_frames", "multiple of 4"),
        ("env_frames = 2_000", "env_frames = 0", "env_frames", "greater than 0"),
        ("prefill_frames = 400", "", "prefill_frames", "missing"),
        ("prefill_frames = 400", "prefill_frames = 2_000", "prefill_frames", "nothing"),
        ('games = ["Pong", "Assault"]', "games = []", "games", "empty"),
        ('games = ["Pong", "Assault"]', 'games = "Pong"', "games", "list"),
        ('["Pong", "Assault"]', '["Pong", "Pong"]', "games", "'Pong' twice"),
        ('["Pong", "Assault"]', '["Pong", 3]', "games[1]", "valid string"),
        ('"base", "full"', '"base", "base"', "designs", "'base' twice"),
        ("seeds = 2", "seeds = [1, 2, 1]", "seeds", "1 twice"),
        ("seeds = 2", "seeds = []", "seeds", "empty"),
        ("seeds = 2", "seeds = 0", "seeds", "from 1"),
        ("seeds = 2", "seeds = true", "seeds", "number of seeds"),
        ("seeds = 2", 'seeds = "2"', "seeds", "number of seeds"),
        ("seeds = 2", "seeds = [0, -1]", "seeds[1]", "greater than or equal to 0"),
        ("seeds = 2", "seeds = 99_999_999", "seeds", "10000"),
        ("random_shift = { pad = 3 }", "random_shift = 3", "toggles.augmentation", "table"),
        ("random_shift = { pad = 3 }", "", "toggles.augmentation", "empty"),
        ("random_shift = { pad = 3 }", "levels = {}", "toggles.augmentation.levels", "empty"),
        ("pad = 3", "pad = nan", "toggles.augmentation.random_shift.pad", "nan"),
        ("[toggles.ratio]", "[toggles.'r a']", "toggles.r a", "letters"),
        ('name = "mini"', 'name = "other"', "name", 'name = "mini"'),
        ('question = "Does it run?"', 'question = ""', "question", "`question` is empty."),
        ("seeds = 2", "seeds = [99999999999999999999]", "seeds[0]", "largest number"),
        ("env_frames = 2_000", f"env_frames = {2**63}", "env_frames", str(2**63 - 1)),
        ("pad = 3", "pad = 0x" + "f" * 9000, "toggles.augmentation.random_shift.pad", "beyond"),
        ("[toggles.ratio]", f"[toggles.{'r' * 41}]", "toggles.rrr", "41 characters; at most 40"),
        (
            "random_shift = { pad = 3 }",
            f"levels = {{ {'v' * 120} = {{ random_shift = {{}} }} }}",
            "toggles.augmentation",
            "120 characters; at most 40",
        ),
    ],
)
def test_an_error_names_file_key_and_remedy(
    old: str, new: str, key: str, hint: str, problem
) -> None:
    message = problem((old, new))
    assert message.startswith("mini.toml: ")
    assert f"`{key}" in message
    assert hint in message
    assert "\n" not in message


def test_a_protocol_is_a_name_or_a_table(edited) -> None:
    head, rest = edited().split("[protocol]")
    text = f"{head}protocol = 3\n[agent]{rest.split('[agent]')[1]}"
    with pytest.raises(StudyError, match="`protocol` wants the name of a protocol or a table"):
        parse_study(text, path="mini.toml", stem="mini")


def test_a_factor_with_two_levels_needs_in_full(problem) -> None:
    levels = "levels = { a = { random_shift = {} }, b = { random_shift = { pad = 1 } } }"
    message = problem(("random_shift = { pad = 3 }", levels))
    assert "`toggles.augmentation.in_full` is missing" in message
    assert "a, b" in message


def test_in_full_must_be_a_level(problem) -> None:
    levels = "levels = { soft = { random_shift = {} }, hard = { random_shift = { pad = 9 } } }"
    message = problem(("random_shift = { pad = 3 }", levels + '\nin_full = "hrad"'))
    assert "`toggles.augmentation.in_full`" in message
    assert "nearest: hard" in message


def test_an_unknown_key_of_a_factor_is_refused(problem) -> None:
    levels = 'levels = { a = { random_shift = {} } }\nin_ful = "a"'
    message = problem(("random_shift = { pad = 3 }", levels))
    assert "`toggles.augmentation.in_ful`" in message
    assert "nearest: in_full" in message


def test_a_factor_cannot_have_a_level_named_base(problem) -> None:
    levels = "levels = { base = { random_shift = {} } }"
    assert "toggles.augmentation.levels.base" in problem(("random_shift = { pad = 3 }", levels))


def test_two_toggles_cannot_set_one_modification(problem) -> None:
    message = problem(("replay_ratio = { env_frames_per_update = 32 }", "random_shift = {}"))
    assert "`toggles.ratio`" in message
    assert "`toggles.augmentation`" in message
    assert "levels of one toggle" in message


def test_designs_beyond_the_base_need_toggles(edited) -> None:
    text = edited()
    without = text[: text.index("[toggles.augmentation]")]
    with pytest.raises(StudyError, match=r"`designs` has 'full'.*\[toggles\]"):
        parse_study(without, path="mini.toml", stem="mini")


def test_a_file_that_is_not_toml_names_the_line(problem) -> None:
    assert re.search(r"not TOML.*line 7", problem(("2_000", "two thousand")))


def test_a_number_of_thousands_of_digits_is_not_toml(problem) -> None:
    assert "not TOML" in problem(("pad = 3", f"pad = {'9' * 9000}"))


def test_the_name_of_a_study_has_at_most_40_characters(edited) -> None:
    for length in (40, 41):
        text = edited(("mini", "m" * length))
        if length == 40:
            assert parse_study(text, path="x.toml", stem="m" * length)
        else:
            with pytest.raises(StudyError, match=r"`name` has the name .* of 41 characters"):
                parse_study(text, path="x.toml", stem="m" * length)


def test_a_file_that_is_not_text_is_refused(tmp_path) -> None:
    path = tmp_path / "mini.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="cannot be read"):
        read_study(path)


def test_comments_and_layout_do_not_change_the_contents(parsed) -> None:
    assert (
        parsed(("seeds = 2", "seeds = [0, 1]  # two")).study.contents_sha256
        == parsed().study.contents_sha256
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seeds = 2", "seeds = 3"),
        ("pad = 3", "pad = 4"),
        ("Does it run?", "Does it walk?"),
        ("evaluate_every = 1_000", "evaluate_every = 500"),
        ("[toggles.ratio]", "[toggles.ratio2]"),
    ],
)
def test_every_other_change_changes_the_contents(old: str, new: str, parsed) -> None:
    assert parsed((old, new)).study.contents_sha256 != parsed().study.contents_sha256


def test_the_order_of_the_toggles_is_part_of_the_contents(parsed, edited) -> None:
    head, first = edited().split("[toggles.augmentation]")
    first, second = first.split("[toggles.ratio]")
    swapped = f"{head}[toggles.ratio]{second}[toggles.augmentation]{first}"
    other = parse_study(swapped, path="mini.toml", stem="mini").study
    assert other.contents_sha256 != parsed().study.contents_sha256


def test_frames_come_in_whole_agent_steps(problem) -> None:
    assert study.FRAMES_PER_AGENT_STEP == config.FRAMES_PER_AGENT_STEP
    said = problem(("env_frames = 2_000", "env_frames = 2002"))
    assert "`env_frames` should be a multiple of 4, not 2002" in said


def test_a_budget_may_be_scaled(parsed) -> None:
    study = parsed(("= 2_000", '= "scaled"'), ("= 400", '= "scaled"')).study
    assert (study.env_frames, study.prefill_frames) == ("scaled", "scaled")


def test_no_study_is_called_as_a_command_needs_the_word(edited) -> None:
    with pytest.raises(StudyError, match=r"`name` is 'dreams'.*`ablate plot dreams RUN`"):
        parse_study(edited(('"mini"', '"dreams"')), path="dreams.toml", stem="dreams")


ARMS = '= 32 }\n[[arms]]\non = ["augmentation", "ratio"]\n'


def test_a_study_may_name_arms(parsed) -> None:
    study = parsed(("= 32 }", ARMS)).study
    assert [arm.on for arm in study.arms] == [("augmentation", "ratio")]


def test_named_arms_count_as_contents_and_none_count_as_before(parsed) -> None:
    without = parsed().study
    assert parsed(("= 32 }", ARMS)).study.contents_sha256 != without.contents_sha256
    contents = without.model_dump()
    del contents["arms"], contents["precision"]
    contents["toggles"] = list(contents["toggles"].items())
    assert without.contents_sha256 == sha256(contents)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"ratio"]', '"ratoi"]', "`arms[0].on` has no toggle 'ratoi'; nearest: ratio."),
        ('"ratio"]', '"ratio:off"]', "has no toggle 'ratio:off'; nearest: ratio."),
        ('"ratio"]', '"ratio:on", "ratio"]', "`arms[0].on` has ratio twice"),
        ("on =", "onn =", "unknown key `arms[0].onn`; nearest: on."),
        ("[[arms]]", "[arms]", "`arms` wants a list"),
        ('["augmentation", "ratio"]', '"ratio"', "`arms[0].on` wants a list"),
        (
            "[[arms]]",
            '[[arms]]\non = ["ratio", "augmentation"]\n[[arms]]',
            "`arms[1].on` is the same arm as arms[0]; name it once.",
        ),
    ],
)
def test_an_arm_that_means_nothing_is_refused_with_the_remedy(problem, old, new, words) -> None:
    assert old in ARMS
    assert words in problem(("= 32 }", ARMS.replace(old, new)))


def test_an_arm_names_the_level_of_a_factor_that_has_several(parsed, problem) -> None:
    levels = (
        "random_shift = { pad = 3 }",
        "levels = { a = { random_shift = {} }, b = { random_shift = { pad = 1 } } }\n"
        'in_full = "b"',
    )
    assert "nearest: augmentation:b" in problem(levels, ("= 32 }", ARMS))
    named = ("= 32 }", ARMS.replace('"augmentation"', '"augmentation:a"'))
    assert parsed(levels, named).study.arms[0].on == ("augmentation:a", "ratio")


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ("fractional", "made for 5 to 8 toggles, and the study has 2 toggles; nearest: 'fact"),
        ("plackett_burman", "made for 5 to 23 toggles, and the study has 2 toggles"),
    ],
)
def test_a_design_that_the_toggles_do_not_allow_is_refused(problem, design, words) -> None:
    message = problem(('["base", "full"', f'["base", "{design}"'))
    assert message.startswith("mini.toml: `designs` has '")
    assert words in message


def test_a_study_with_no_design_and_no_arm_is_refused(problem) -> None:
    empty = ('["base", "full", "leave_one_out", "add_one_in"]', "[]")
    assert problem(empty) == "mini.toml: `designs` is empty."
