from results.statistics.errors import listed, nearest


def test_the_nearest_choice_is_offered_whatever_its_case():
    assert nearest("PONGG", ["Assault", "Pong"]) == "did you mean 'Pong'?"


def test_without_a_near_choice_all_are_listed():
    assert nearest("zzz", ["Assault", "Pong"]) == "known are Assault, Pong."


def test_a_long_list_is_cut_and_says_by_how_much():
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert listed(["a", "b"], most=2) == "a, b"
    assert listed([]) == "none"
