from typing import ClassVar

import pytest

from agents.assemble import AssemblyError, assemble
from agents.config import agent_config
from agents.modification import Modification, Proof
from agents.modifications import REGISTRY
from agents.parts import Parts


class SetsGamma(Modification):
    name: ClassVar[str] = "sets_gamma"
    value: float = 0.9

    @classmethod
    def null(cls, config):
        return cls(value=config.gamma)

    def first_action(self, config, budget):
        return budget.prefill_frames

    def install(self, parts):
        return parts.with_settings(self.name, gamma=self.value)

    def proof(self, config):
        return Proof("sets_gamma/value")


class AlsoSetsGamma(SetsGamma):
    name: ClassVar[str] = "also_sets_gamma"


class SetsLambda(SetsGamma):
    name: ClassVar[str] = "sets_lambda"

    def install(self, parts):
        return parts.with_settings(self.name, lambda_=self.value)


class Solitary(SetsLambda):
    name: ClassVar[str] = "solitary"
    excludes: ClassVar[frozenset[str]] = frozenset({"sets_gamma"})


class Demanding(SetsLambda):
    name: ClassVar[str] = "demanding"
    requires: ClassVar[dict] = {"kl_balance": 0.5}


@pytest.fixture
def config():
    return agent_config("micro")


def test_no_modification_makes_the_base(config):
    assert assemble(config, []) == Parts(config)


def test_modifications_of_different_components_add_up(config):
    one, other = SetsGamma(value=0.9), SetsLambda(value=0.5)
    parts = assemble(config, [one, other])
    assert (parts.config.gamma, parts.config.lambda_) == (0.9, 0.5)
    assert parts.describe() == assemble(config, [other, one]).describe()


def test_a_modification_that_changes_nothing_is_refused(config):
    with pytest.raises(AssemblyError, match=r"sets_gamma changes nothing .*0\.999"):
        assemble(config, [SetsGamma(value=0.999)])
    with pytest.raises(AssemblyError, match="sets_gamma changes nothing"):
        assemble(config, [SetsLambda(value=0.999), SetsGamma(value=0.999)])


def test_a_modification_cannot_be_there_twice(config):
    with pytest.raises(AssemblyError, match="sets_gamma is there twice"):
        assemble(config, [SetsGamma(value=0.9), SetsGamma(value=0.5)])


def test_two_modifications_of_one_component_are_refused(config):
    with pytest.raises(AssemblyError, match="also_sets_gamma and sets_gamma both set gamma"):
        assemble(config, [SetsGamma(value=0.9), AlsoSetsGamma(value=0.5)])


def test_exclusion_holds_whoever_declares_it_and_whoever_comes_first(config):
    pair = [SetsGamma(), Solitary()]
    for modifications in (pair, pair[::-1]):
        with pytest.raises(AssemblyError, match="solitary and sets_gamma exclude each other"):
            assemble(config, modifications)
    assemble(config, [Solitary()])


def test_an_unmet_requirement_is_refused_with_the_remedy(config):
    with pytest.raises(AssemblyError, match=r"demanding requires kl_balance = 0.5 in \[agent\]"):
        assemble(config, [Demanding()])
    assert assemble(agent_config("micro", kl_balance=0.5), [Demanding()]).config.lambda_ == 0.9


def test_two_spellings_of_one_agent_describe_alike(config):
    ratio = REGISTRY["replay_ratio"](env_frames_per_update=8)
    spelled_otherwise = Parts(agent_config("micro", env_frames_per_update=8))
    assert assemble(config, [ratio]).describe() == spelled_otherwise.describe()
    assert assemble(config, [ratio]).describe() != Parts(config).describe()
