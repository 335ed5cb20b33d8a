"""`ablate games`, on curves that were imported."""

import json


def test_games_of_an_imported_study_are_ranked(ablate, tmp_path):
    rows = ["method,game,seed,env_frames,score"]
    for seed in (0, 1):
        for point in (1, 2, 3, 4):
            rows.append(f"dreamer,Pong,{seed},{100_000 * point},{-20 + 8 * point + seed}")
            rows.append(f"dreamer,Assault,{seed},{100_000 * point},{900 - 100 * point * seed}")
    (tmp_path / "curves.csv").write_text("\n".join(rows) + "\n")
    done = ablate(
        "import", "curves.csv", "--format", "csv", "--study", "them", "--protocol", "atari100k"
    )
    assert done.exit_code == 0, done.output
    done = ablate("games", "them", "--json")
    assert done.exit_code == 0, done.output
    found = {row["game"]: row for row in json.loads(done.output)["games"]["rows"]}
    assert found["Pong"]["increase"] == 1.0
    assert found["Assault"]["fitness"] == 0.0
    assert "fitness = " in ablate("games", "them").output.lower()
    refused = ablate("games", "them", "--subset", "1")
    assert refused.exit_code == 2
    assert "Import the results of more methods" in refused.output
