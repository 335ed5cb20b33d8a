from hypothesis import given
from hypothesis import strategies as st

from results.exchange.names import from_file_name, to_file_name


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_file_name_gives_the_name_back_and_is_one_name(name):
    written = to_file_name(name)
    assert from_file_name(written) == name
    assert "/" not in written
    assert written not in (".", "..")


def test_usual_names_stay_as_they_are():
    assert to_file_name("base+a (RR-8)") == "base+a (RR-8)"
