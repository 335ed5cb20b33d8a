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


def test_games_of_published_curves_stand_for_their_benchmark(ablate, tmp_path):
    """Records as DreamerV2's authors publish them: one per task, method and seed."""
    random_human = {"pong": (-20.7, 14.6), "assault": (222.4, 742.0), "qbert": (163.9, 13455.0)}
    share = {
        "pong": 0.2,
        "assault": 1.0,
        "qbert": 3.0,
    }  # of a method's strength: assault is median
    records = [
        {
            "task": f"atari_{task}",
            "method": f"method{method}",
            "seed": seed,
            "xs": [50_000_000.0 * point for point in (1, 2, 3, 4)],
            "ys": [
                random + (human - random) * share[task] * (0.3 + 0.2 * method) * point / 4
                + (0.01 * seed * (human - random) if task != "assault" else 0.0)
                for point in (1, 2, 3, 4)
            ],
        }
        for task, (random, human) in random_human.items()
        for method in range(6)
        for seed in (0, 1)
    ]  # fmt: skip
    (tmp_path / "scores.json").write_text(json.dumps(records))
    words = ("--format", "dreamer-json", "--study", "published", "--protocol", "dreamerv2")
    done = ablate("import", "scores.json", *words)
    assert done.exit_code == 0, done.output
    done = ablate("games", "published", "--subset", "1", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    fitness = {row["game"]: row["fitness"] for row in told["games"]["rows"]}
    assert fitness["Assault"] > fitness["Pong"]  # a better score, no spread
    assert all(row["increase"] == 1.0 for row in told["games"]["rows"])
    best = told["subsets"]["rows"][0]
    assert best["games"] == "Assault"
    assert best["loo_error"] < 1e-6
