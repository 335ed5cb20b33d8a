"""The catalogue: every modification, in the order in which they are installed."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.modification import Modification
from agents.modifications.algorithms.dynamics_gradients import DynamicsGradients
from agents.modifications.algorithms.ppo import PPO
from agents.modifications.algorithms.sac import SAC
from agents.modifications.augmentation.cutout import Cutout
from agents.modifications.augmentation.intensity import Intensity
from agents.modifications.augmentation.random_shift import RandomShift
from agents.modifications.auxiliary.contrastive import Contrastive
from agents.modifications.auxiliary.self_predictive import SelfPredictive
from agents.modifications.exploration.epsilon_greedy import EpsilonGreedy
from agents.modifications.exploration.plan2explore import Plan2Explore
from agents.modifications.recipe.adaptive_ratio import AdaptiveRatio
from agents.modifications.recipe.pretraining import Pretraining
from agents.modifications.recipe.replay_ratio import ReplayRatio
from agents.modifications.resets.resets import Resets

REGISTRY: Mapping[str, type[Modification]] = MappingProxyType(
    {
        modification.name: modification
        for modification in (
            ReplayRatio,
            AdaptiveRatio,
            Resets,
            Pretraining,  # around the resets, which count the updates that fall due
            RandomShift,
            Intensity,
            Cutout,
            EpsilonGreedy,
            Plan2Explore,
            SelfPredictive,
            Contrastive,
            PPO,
            SAC,
            DynamicsGradients,
        )
    }
)
"""Name to modification; one line each."""
