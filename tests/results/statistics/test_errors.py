from results.statistics.errors import counted, listed, nearest


def test_the_nearest_choice_is_offered_whatever_its_case():
    assert nearest("PONGG", ["Assault", "Pong"]) == "did you mean 'Pong'?"


def test_without_a_near_choice_all_are_listed():
    assert nearest("zzz", ["Assault", "Pong"]) == "known are Assault, Pong."


def test_a_long_list_is_cut_and_says_by_how_much():
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert listed(["a", "b"], most=2) == "a, b"
    assert listed([]) == "none"


def test_one_is_no_plural():
    assert [counted(n, "game") for n in (0, 1, 1200)] == ["0 games", "1 game", "1,200 games"]
