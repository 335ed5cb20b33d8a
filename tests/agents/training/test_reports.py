from agents.training.reports import EpisodeResult, Evaluation


def test_action_shares_are_those_of_all_steps_not_of_episodes():
    short = EpisodeResult(0, 1.0, 10, truncated=False, actions=(10, 0, 0))
    long = EpisodeResult(1, 1.0, 30, truncated=True, actions=(5, 25, 0))
    evaluation = Evaluation(400, final=True, policy="sample", episodes=(short, long))
    assert evaluation.action_shares == (15 / 40, 25 / 40, 0.0)
