"""What holds for every modification. Nobody is named here: the registry says who there is."""

import inspect
import io
import math
from contextlib import closing
from itertools import combinations
from pathlib import Path

import pytest
import torch

from agents import modifications
from agents.assemble import AssemblyError, assemble
from agents.config import AgentConfig, Budget, Protocol, agent_config
from agents.dreamer.agent import Agent
from agents.modification import Modification
from agents.modifications import REGISTRY
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.learner import Learner
from agents.training.loop import train
from agents.training.recipe import TrainBehaviour
from agents.training.reports import Metrics

ACTIONS = 5
FAMILIES = {
    "replay ratio",
    "resets",
    "augmentation",
    "exploration",
    "auxiliary losses",
    "RL algorithm",
}
BUDGET = Budget(env_frames=400_000, prefill_frames=20_000)
EXAMPLES = [
    pytest.param(modification, example, id=f"{name}-{example.field}-{i}")
    for name, modification in REGISTRY.items()
    for i, example in enumerate(modification.examples)
]


@pytest.fixture(params=REGISTRY.values(), ids=REGISTRY)
def modification(request):
    return request.param


def base_config(*modifications, example=None):
    """The micro agent with whatever the modifications, or an example, require of the base."""
    required = {}
    for modification in modifications:
        required |= modification.requires
        if modification.requires_validation:
            required["validation_fraction"] = 0.25
    return agent_config("micro", **required, **(example.base if example else {}))


def with_example(modification, i=0):
    return modification.model_validate(dict(modification.examples[i].settings))


def arm(modification):
    return assemble(base_config(modification), [with_example(modification)])


def test_file_registry_and_name_agree():
    for name, modification in REGISTRY.items():
        assert modification.name == name
        assert Path(inspect.getsourcefile(modification)).stem == name


def test_every_file_of_the_catalogue_is_one_registered_modification():
    room = Path(modifications.__file__).parent
    files = {path.stem for path in room.rglob("*.py") if path.name != "__init__.py"}
    assert files == set(REGISTRY)
    for modification in REGISTRY.values():
        module = inspect.getmodule(modification)
        own = [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, Modification) and value.__module__ == module.__name__
        ]
        assert own == [modification]


def test_it_introduces_itself(modification):
    assert modification.family in FAMILIES
    assert modification.summary
    assert "\n" not in modification.summary
    assert modification.paper
    assert modification.seam
    assert modification.excludes <= set(REGISTRY)
    assert set(modification.requires) <= set(type(agent_config()).model_fields)
    assert inspect.getmodule(modification).__doc__


def test_every_field_has_an_example(modification):
    assert modification.examples
    assert {example.field for example in modification.examples} == set(modification.model_fields)


def test_the_examples_are_valid_and_differ(modification):
    for example in modification.examples:
        one = modification.model_validate(dict(example.settings))
        other = modification.model_validate({**example.settings, example.field: example.other})
        assert one != other
        assert modification.model_validate_json(one.model_dump_json()) == one


def test_installing_leaves_the_input_untouched(modification):
    parts = Parts(base_config(modification))
    before, described = Parts(parts.config), parts.describe()
    edited = with_example(modification).install(parts)
    assert parts == before
    assert parts.describe() == described
    assert edited.describe() != described


def test_installing_twice_from_one_start_gives_one_result(modification):
    assert arm(modification).describe() == arm(modification).describe()


def test_it_acts_within_the_budget_of_its_example(modification):
    first = with_example(modification).first_action(base_config(modification), BUDGET)
    assert BUDGET.prefill_frames <= first < BUDGET.env_frames or first == 0
    assert math.isfinite(first)


def test_with_its_example_the_agent_or_the_events_differ_from_the_base(modification, live):
    assert live(arm(modification)).outcome != live(Parts(base_config(modification))).outcome


def test_what_proves_that_it_acts_is_recorded_and_moves(modification, live):
    config, item = base_config(modification), with_example(modification)
    proof = item.proof(config)
    lives = live(Parts(config)), live(assemble(config, [item]))
    base, own = ([m[proof.metric] for m in one.metrics if proof.metric in m] for one in lives)
    assert set(base) <= {proof.idle}
    assert own
    assert set(own) != {proof.idle}


@pytest.mark.parametrize(("modification", "example"), EXAMPLES)
def test_every_field_matters(modification, example, live):
    settings, config = dict(example.settings), base_config(modification, example=example)
    outcomes = [
        live(assemble(config, [modification.model_validate(values)])).outcome
        for values in (settings, {**settings, example.field: example.other})
    ]
    assert outcomes[0] != outcomes[1]


def test_the_same_seed_gives_the_same_life_and_another_seed_another(modification, live):
    parts = arm(modification)
    assert live(parts).outcome == live(parts).outcome
    assert live(parts).outcome != live(parts, seed=1).outcome


def updated(parts, updates, batch):
    """An agent after some updates on one batch, with the owners of its draws."""
    agent = Agent(parts, ATARI, ACTIONS, Streams(0))
    for _ in range(updates):
        posteriors, _ = agent.train_world_model(batch)
        agent.train_behaviour(posteriors)
    return agent


@pytest.mark.parametrize("updates", [1, 3])
def test_it_draws_from_its_own_streams_alone(modification, random_batch, updates, digest):
    batch = random_batch(2, 6)
    base = updated(Parts(base_config(modification)), updates, batch).streams.state_dict()
    own = updated(arm(modification), updates, batch).streams.state_dict()
    for owner in own.keys() - base.keys():
        assert owner.split("/")[0] == modification.name
    for owner in base.keys() & own.keys():
        assert torch.equal(base[owner], own[owner]), owner


def test_it_does_not_touch_the_global_generators(modification, random_batch):
    before = torch.get_rng_state()
    updated(arm(modification), 1, random_batch(2, 6))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_shares_the_bases_initial_weights(modification):
    base = Agent(
        Parts(base_config(modification)), ATARI, ACTIONS, Streams(0)
    ).world_model.state_dict()
    own = Agent(arm(modification), ATARI, ACTIONS, Streams(0)).world_model.state_dict()
    shared = [name for name in base if name in own and base[name].shape == own[name].shape]
    assert shared
    assert all(torch.equal(base[name], own[name]) for name in shared)


def test_its_null_is_bitwise_the_base(modification, live):
    config = base_config(modification)
    null = modification.null(config)
    if null is None:
        pytest.skip("it has no null; its own tests name the substitute")
    base, same = live(Parts(config)), live(null.install(Parts(config)))
    assert same.outcome == base.outcome
    assert same.metrics == base.metrics
    assert null.install(Parts(config)).describe() == Parts(config).describe()
    with pytest.raises(AssemblyError, match="changes nothing"):
        assemble(config, [null])


def test_training_saving_restoring_and_training_on_is_training_through(
    modification, filled_replay, digest
):
    parts = arm(modification)

    def train(agent, updates):
        learner = Learner(agent, filled_replay(parts.config))
        for _ in range(updates):
            learner.train_world_model()
            learner.train_behaviour()
        return agent

    through = train(Agent(parts, ATARI, ACTIONS, Streams(0)), 12)
    half, file = train(Agent(parts, ATARI, ACTIONS, Streams(0)), 6), io.BytesIO()
    torch.save(half.state_dict(), file)
    file.seek(0)
    fresh = Agent(parts, ATARI, ACTIONS, Streams(0))
    fresh.load_state_dict(torch.load(file))
    assert digest(train(fresh, 6).state_dict()) == digest(through.state_dict())


PAIRS = [
    pytest.param(pair, id=f"{pair[0].name}-{pair[1].name}")
    for pair in combinations(REGISTRY.values(), 2)
]


def assembled_pair(config, modifications):
    """The parts of both together, or None if they are refused, which must name one of them."""
    refusal = None
    try:
        return assemble(config, modifications)
    except AssemblyError as error:
        refusal = str(error)
    assert any(one.name in refusal for one in modifications)
    return None


@pytest.fixture(scope="module")
def lived():
    """Outcomes of agents with one modification, which many pairs ask for."""
    return {}


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_makes_an_agent_or_is_refused(pair, live, lived):
    modifications, config = [with_example(one) for one in pair], base_config(*pair)
    parts = assembled_pair(config, modifications)
    if parts is None:
        return
    both = live(parts, env_frames=32)
    assert sum(isinstance(event, TrainBehaviour) for event in both.events) >= 2
    for one in modifications:
        key = one.name, config.model_dump_json()
        if key not in lived:
            lived[key] = live(assemble(config, [one]), env_frames=32).outcome
        assert lived[key] != both.outcome


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_every_admissible_pair_makes_fifty_updates_on_catch(pair):
    settings = {"env_frames_per_update": 16.0, "cross_episodes": True}
    config = AgentConfig.model_validate(base_config(*pair).model_dump() | settings)
    parts = assembled_pair(config, [with_example(one) for one in pair])
    if parts is None:
        return
    reports = train(
        parts,
        game="Catch",
        seed=0,
        protocol=Protocol(evaluate_every=20_000, final_evaluation_episodes=1),
        budget=Budget(env_frames=20_000, prefill_frames=400),
    )
    with closing(reports):
        assert any(isinstance(one, Metrics) and one.updates >= 50 for one in reports)
