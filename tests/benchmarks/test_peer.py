"""Our update beside pydreamer's, the other DreamerV2 in PyTorch, in one process and in turn.

    pytest tests/benchmarks/test_peer.py --peer=PATH

PATH is a checkout of https://github.com/jurgisp/pydreamer; nothing of it needs to be installed.
Both train the paper's agent: 16 sequences of 50 images of 64 x 64 pixels in one channel, 32 x 32
latents, 600 recurrent units, 15 imagined steps, 18 actions, no layer norms. One thread, fp32,
random data, seconds of the processor. pydreamer's update is what its training loop does between
two batches, but for its logging; ours draws the batch from the replay too. It is timed as it
comes, and with the way of multiplying that `training/process.py` asks torch for; what that file
says of freed memory holds for both.
"""

import importlib
import json
import re
import sys
from pathlib import Path
from statistics import median
from types import ModuleType, SimpleNamespace

import pytest
import torch

from agents.benchmark import ACTIONS, Bench, Workload
from agents.config import AgentConfig
from agents.observation import ATARI
from agents.training.process import set_up_process

ROUNDS = 3


class Peer:
    """pydreamer's agent at the size of ours, and one batch for it.

    Args:
        checkout: Where pydreamer lies.
        config: Our agent.
    """

    def __init__(self, checkout: Path, config: AgentConfig) -> None:
        sections = settings_in((checkout / "config/defaults.yaml").read_text())
        settings = sections["defaults"] | sections["atari"] | same_size(config)
        self.conf = SimpleNamespace(**settings)
        torch.distributions.Distribution.set_default_validate_args(False)  # as its loop does
        self.model = dreamer_class(checkout)(self.conf)
        self.optimisers = self.model.init_optimizers(
            self.conf.adam_lr,
            self.conf.adam_lr_actor,
            self.conf.adam_lr_critic,
            self.conf.adam_eps,
        )
        self.state = self.model.init_state(config.batch)
        self.batch = random_batch(config)

    def update(self) -> None:
        """World model, actor and critic, once."""
        losses, self.state, *_ = self.model.training_step(
            self.batch,
            self.state,
            iwae_samples=self.conf.iwae_samples,
            imag_horizon=self.conf.imag_horizon,
        )
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for loss in losses:
            loss.backward()
        self.model.grad_clip(self.conf.grad_clip, self.conf.grad_clip_ac)
        for optimiser in self.optimisers:
            optimiser.step()


def dreamer_class(checkout: Path) -> type:
    """Its agent; its `tools`, which log and need what is not installed here, are left out."""
    sys.path.insert(0, str(checkout))
    sys.modules["pydreamer.tools"] = ModuleType("pydreamer.tools")
    return importlib.import_module("pydreamer.models.dreamer").Dreamer


def settings_in(text: str) -> dict[str, dict[str, object]]:
    """The sections of its file of settings: `name:`, then lines of two spaces and `key: value`."""
    sections: dict[str, dict[str, object]] = {}
    for line in re.sub(r"\s*#.*", "", text).splitlines():
        if not line.strip():
            continue
        key, _, word = (part.strip() for part in line.partition(":"))
        if not line.startswith(" "):
            sections[key] = section = {}
        else:
            section[key] = value_of(word)
    return sections


def value_of(word: str) -> object:
    if not word:
        return None
    try:
        return json.loads(word.lower().replace("_", ""))
    except json.JSONDecodeError:
        return word


def same_size(config: AgentConfig) -> dict[str, object]:
    return {
        "batch_size": config.batch,
        "batch_length": config.length,
        "imag_horizon": config.horizon,
        "image_channels": ATARI.shape[0],
        "action_dim": ACTIONS,
        "deter_dim": config.deter,
        "hidden_dim": config.hidden,
        "stoch_dim": config.stoch,
        "stoch_discrete": config.classes,
        "cnn_depth": config.depth,
        "reward_decoder_layers": config.layers,
        "terminal_decoder_layers": config.layers,
        "layer_norm": False,
        "amp": False,
    }


def random_batch(config: AgentConfig) -> dict[str, torch.Tensor]:
    """Time before sequences, as it wants them; every sequence is in the middle of an episode."""
    generator, steps = torch.Generator().manual_seed(0), (config.length, config.batch)
    drawn = torch.randint(ACTIONS, steps, generator=generator)
    return {
        "image": torch.rand(*steps, *ATARI.shape, generator=generator) - 0.5,
        "action": torch.nn.functional.one_hot(drawn, ACTIONS).float(),
        "reward": torch.randn(steps, generator=generator).tanh(),
        "terminal": torch.zeros(steps),
        "reset": torch.zeros(steps, dtype=torch.bool),
    }


def numbers_in(module: torch.nn.Module) -> int:
    """How many its parameters hold."""
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.timeout(0)
@pytest.mark.filterwarnings(r"ignore:.*torch\.jit\..* is deprecated:DeprecationWarning")  # its own
def test_an_update_beside_pydreamers(benchmark, capsys, request):
    set_up_process(threads=1)
    ours = Bench(Workload(size="atari"))
    theirs = Peer(request.config.getoption("peer"), ours.config)
    products = torch.get_float32_matmul_precision()
    seconds = {"as it comes": [], "with our products": [], "ours": []}

    def their_update(name, precision):
        torch.set_float32_matmul_precision(precision)
        seconds[name].append(ours.seconds(theirs.update))
        torch.set_float32_matmul_precision(products)

    def their_updates():
        their_update("as it comes", "highest")
        their_update("with our products", products)

    def our_update():
        world_model, behaviour, _ = ours.update()
        seconds["ours"].append(world_model + behaviour)

    benchmark.pedantic(our_update, setup=their_updates, rounds=ROUNDS, warmup_rounds=1)
    kept = {name: each[1:] for name, each in seconds.items()}  # the first of each warms up
    lines = [f"processor seconds per update, medians of {ROUNDS}, in turn, one thread, fp32"]
    for name, each in kept.items():
        what = "ours" if name == "ours" else f"pydreamer, {name}"
        ratios = [a / b for a, b in zip(each, kept["ours"], strict=True)]
        span = f"{median(ratios):.2f} x ours ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"{what:30} {median(each):6.2f} s, {span}")
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
    benchmark.extra_info.update({name: median(each) for name, each in kept.items()})
    assert numbers_in(theirs.model.wm) == pytest.approx(
        numbers_in(ours.agent.world_model), rel=0.02
    )
