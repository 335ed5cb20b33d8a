"""Cost: a rough forecast of a run's time, for plans made before anything has been measured."""

import time
from functools import cache
from itertools import pairwise

import torch

from agents.config import FRAMES_PER_AGENT_STEP, AgentConfig, Budget, Protocol
from agents.dreamer.networks import ENCODER_KERNEL, decoder_kernels
from agents.observation import ATARI, Observation
from agents.training.recipe import evaluation_interval, planned_updates
from agents.training.replay import replay_bytes

EFFICIENCY = 0.45  # of the product rate, reached by one update on a CPU at size `atari`
SECONDS_OF_OVERHEAD = 0.03  # per update: thousands of small operations, at any size
SECONDS_PER_AGENT_STEP = 1.5e-3  # policy and emulator, at small sizes
TYPICAL_EPISODE_AGENT_STEPS = 2_000
BYTES_OF_LIBRARIES = 600_000_000  # torch with its kernels, in a process that has trained
COPIES_OF_PARAMETERS = 5  # values, gradients, two moments, and room for a copy at a checkpoint
COPIES_OF_ACTIVATIONS = 3  # values, what the backward pass keeps beside them, and gradients


def update_flops(
    config: AgentConfig, actions: int = 18, observation: Observation = ATARI
) -> float:
    """Floating-point operations of one update of world model and behaviour.

    A product of [n, a] and [a, b] counts 2 n a b, a backward pass twice its forward pass; but
    nobody needs the gradients of pixels, or of the features that actor and critic read.
    """
    N, H = config.batch * config.length, config.horizon  # replayed rows, each of them a dream
    deter, hidden, flat = config.deter, config.hidden, config.stoch * config.classes
    if observation.is_image:
        embed, encoder, decoder = _image_products(config, observation)
        pixels = (observation.shape[1] - ENCODER_KERNEL) // 2 + 1
        first = ENCODER_KERNEL**2 * pixels**2 * observation.shape[0] * config.depth
    else:
        inner = (config.layers - 1) * config.units**2
        embed, encoder = config.units, observation.size * config.units + inner
        decoder = (config.feat + observation.size) * config.units + inner
        first = observation.size * config.units
    transition = (flat + actions) * hidden + 3 * deter * (hidden + deter)
    categorical = deter * hidden + hidden * flat
    posterior = (deter + embed) * hidden + hidden * flat
    head = config.feat * config.units + (config.layers - 1) * config.units**2
    model = N * (encoder + decoder + transition + categorical + posterior + 2 * head)
    unneeded = N * first + (2 * H - 1) * N * config.feat * config.units
    dream = H * N * (transition + categorical + head) + (H + 1) * N * 3 * head
    learn = (2 * H - 1) * N * head
    return 2.0 * (3 * model - unneeded + dream + 3 * learn)


def _image_products(config: AgentConfig, observation: Observation) -> tuple[int, int, int]:
    """Width of the embedding, and multiplications of one image's encoder and decoder."""
    channels, size, _ = observation.shape
    first, *middle, last = decoder_kernels(observation)
    widths = [config.depth * 2**i for i in range(len(middle) + 2)]
    encoder, pixels = 0, size
    for inputs, outputs in pairwise([channels, *widths]):
        pixels = (pixels - ENCODER_KERNEL) // 2 + 1
        encoder += ENCODER_KERNEL**2 * pixels**2 * inputs * outputs
    embed = widths[-1] * pixels**2
    decoder, pixels = config.feat * embed + first**2 * embed * widths[-2], first
    narrowing = pairwise(reversed(widths[:-1]))
    for (inputs, outputs), kernel in zip(narrowing, middle, strict=True):
        decoder += kernel**2 * pixels**2 * inputs * outputs
        pixels = 2 * (pixels - 1) + kernel
    decoder += last**2 * (size // 2) ** 2 * widths[0] * channels
    return embed, encoder, decoder


def memory_bytes(
    config: AgentConfig, budget: Budget, observation: Observation = ATARI, actions: int = 18
) -> int:
    """What a run takes at most, in bytes, replay included: stated before it starts.

    Counted from the shapes of the networks: everything that one update holds at once, in fp32.
    Meant to be too much rather than too little: a run at size `small` with sequences of 50 rows
    was stated at 1.9 GB and had taken 1.4 near its end.
    """
    N, H = config.batch * config.length, config.horizon
    deter, hidden, flat = config.deter, config.hidden, config.stoch * config.classes
    channels, size = (
        (observation.shape[0], observation.shape[1]) if observation.is_image else (0, 0)
    )
    if observation.is_image:
        embed, pixels_kept, kernels = _image_sizes(config, channels, size)
    else:
        embed, pixels_kept = config.units, 2 * config.layers * config.units
        kernels = observation.size * config.units
    core = (flat + actions) * hidden + 3 * deter * (hidden + deter) + 2 * hidden * flat
    core += deter * hidden + (deter + embed) * hidden
    heads = 5 * (config.feat * config.units + config.layers * config.units**2)
    parameters = core + heads + kernels + config.feat * embed
    step = 8 * deter + 3 * hidden + 4 * flat + embed  # one latent transition
    dream = H * N * (step - embed + 4 * config.layers * config.units)
    activations = N * (step + pixels_kept + 2 * config.layers * config.units) + dream
    floats = COPIES_OF_PARAMETERS * parameters + COPIES_OF_ACTIVATIONS * activations
    agent_steps = -(-budget.env_frames // FRAMES_PER_AGENT_STEP)
    return BYTES_OF_LIBRARIES + 4 * floats + replay_bytes(agent_steps, observation, config)


def _image_sizes(config: AgentConfig, channels: int, size: int) -> tuple[int, int, int]:
    """Width of the embedding, numbers kept of one image, and parameters of all convolutions."""
    widths, pixels, kept, kernels = (
        [channels, *(config.depth * 2**i for i in range(4))],
        size,
        0,
        0,
    )
    for inputs, outputs in pairwise(widths):
        pixels = max(1, (pixels - ENCODER_KERNEL) // 2 + 1)
        kept += pixels**2 * outputs
        kernels += 2 * 6**2 * inputs * outputs  # encoder and decoder, whose kernels are larger
    return widths[-1] * pixels**2, 2 * kept + 2 * channels * size**2, kernels


@cache
def product_rate() -> float:
    """Floating-point operations per second of a matrix product, measured once per process."""
    a, b = torch.ones(512, 512), torch.ones(512, 512)
    torch.mm(a, b)
    started, products = time.perf_counter(), 0
    while time.perf_counter() - started < 0.1:
        torch.mm(a, b)
        products += 1
    return products * 2.0 * 512**3 / (time.perf_counter() - started)


def estimate_seconds(
    config: AgentConfig,
    budget: Budget,
    protocol: Protocol,
    observation: Observation = ATARI,
) -> float:
    """A forecast of one run on one core, right within a factor of about three.

    Measured times of earlier runs are far better; this is for the first plan.
    """
    flops = update_flops(config, observation=observation)
    update = SECONDS_OF_OVERHEAD + flops / (EFFICIENCY * product_rate())
    every = evaluation_interval(protocol, budget)
    evaluations = (budget.env_frames - 1) // every - budget.prefill_frames // every
    episodes = evaluations * protocol.evaluation_episodes + protocol.final_evaluation_episodes
    cap = protocol.max_env_frames_per_episode // FRAMES_PER_AGENT_STEP
    steps = budget.env_frames / FRAMES_PER_AGENT_STEP
    steps += episodes * min(cap, TYPICAL_EPISODE_AGENT_STEPS)
    return planned_updates(config, budget) * update + steps * SECONDS_PER_AGENT_STEP
