"""Cost: a forecast of a run's time and memory, for plans made before anything has been measured.

An update takes time for its products, for the numbers that its layers give (activations, casts,
normalisations, losses: bound by memory), and for calling torch some thousands of times, whatever
the size. The constants are those of one thread of a server's processor; only the rate of products
is measured, when a study is put together. What modifications add is counted (agents/counting.py).
"""

import time
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from agents.config import FRAMES_PER_AGENT_STEP, AgentConfig, Budget, Protocol
from agents.counting import beside_base
from agents.dreamer.networks import ENCODER_KERNEL, decoder_kernels
from agents.observation import ATARI, Observation
from agents.parts import Parts
from agents.precision import Precision
from agents.training.recipe import evaluation_interval, planned_updates
from agents.training.replay import replay_bytes

EFFICIENCY = 0.75  # of the product rate, reached by the products of an update alone
SECONDS_PER_NUMBER = 5e-9  # of all that is done, both ways, with one number that a layer gives
SECONDS_PER_CALL = 8.5e-6  # of torch, for anything however small
SECONDS_PER_AGENT_STEP = 1.5e-3  # emulator, and a policy of few weights
SECONDS_PER_ACTING_WEIGHT = 0.25e-9  # read from memory at every agent step
TYPICAL_EPISODE_AGENT_STEPS = 2_000  # of an Atari game
TYPICAL_TASK_AGENT_STEPS = 100  # of an episode of any other task
BYTES_OF_LIBRARIES = 430_000_000  # torch, an emulator and a database, in a worker that has trained
ROOM_AROUND_TENSORS = 1.4  # what a process takes for each byte that its tensors take
COPIES_OF_PARAMETERS = 4  # values, gradients and two moments
COPIES_OF_ACTIVATIONS = 0.8  # some are there as values and gradients, some gone by the peak


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
    parts: Parts, budget: Budget, observation: Observation = ATARI, actions: int = 18
) -> int:
    """What a run takes at most, in bytes, replay included: stated before it starts.

    The base's is counted from the shapes of the networks: what one update holds at once, in fp32.
    What modifications add is counted on an update without numbers (agents/counting.py).
    """
    config = parts.config
    parameters = COPIES_OF_PARAMETERS * weights(config, observation, actions)
    floats = parameters + COPIES_OF_ACTIVATIONS * activations(config, observation)
    agent_steps = -(-budget.env_frames // FRAMES_PER_AGENT_STEP)
    beside = round(ROOM_AROUND_TENSORS * beside_base(parts, observation).live_bytes)
    replay = replay_bytes(agent_steps, observation, config)
    return BYTES_OF_LIBRARIES + round(4 * floats) + beside + replay


def weights(config: AgentConfig, observation: Observation = ATARI, actions: int = 18) -> int:
    """Parameters of all networks, about."""
    deter, hidden, flat = config.deter, config.hidden, config.stoch * config.classes
    embed, _, kernels = _observation_sizes(config, observation)
    core = (flat + actions) * hidden + 3 * deter * (hidden + deter) + 2 * hidden * flat
    core += deter * hidden + (deter + embed) * hidden
    heads = 5 * (config.feat * config.units + config.layers * config.units**2)
    return core + heads + kernels + config.feat * embed


def activations(config: AgentConfig, observation: Observation = ATARI) -> int:
    """Numbers that the layers of one update give: for every replayed row and every dreamed one."""
    N, H = config.batch * config.length, config.horizon
    embed, pixels, _ = _observation_sizes(config, observation)
    step = 8 * config.deter + 3 * config.hidden + 4 * config.stoch * config.classes
    dreamed = step + 4 * config.layers * config.units
    return N * (step + embed + pixels + 2 * config.layers * config.units + H * dreamed)


def _observation_sizes(config: AgentConfig, observation: Observation) -> tuple[int, int, int]:
    """Width of the embedding, numbers kept of one observation, and parameters about it."""
    if observation.is_image:
        return _image_sizes(config, observation.shape[0], observation.shape[1])
    return config.units, 2 * config.layers * config.units, observation.size * config.units


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


def update_calls(config: AgentConfig) -> int:
    """Calls of torch in one update, counted at several lengths, horizons and depths."""
    return 746 + 94 * config.length + 65 * config.horizon + 118 * config.layers


PRODUCT_SIZE, PRODUCT_SECONDS, PRODUCT_TRIALS = 1024, 0.02, 3


@cache
def product_rate(precision: Precision = "fp32") -> float:
    """Floating-point operations per second of a matrix product, measured once per process.

    By the clock of the processor, on one thread, the best of some trials: a machine that is busy
    at that moment does not look slow.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    n, generator = PRODUCT_SIZE, torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, n, generator=generator).to(dtype) for _ in range(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.mm(a, b)
        return max(_rate(a, b) for _ in range(PRODUCT_TRIALS))
    finally:
        torch.set_num_threads(threads)


def _rate(a: Tensor, b: Tensor) -> float:
    started, products = time.process_time(), 0
    while time.process_time() - started < PRODUCT_SECONDS:
        torch.mm(a, b)
        products += 1
    return products * 2.0 * len(a) ** 3 / (time.process_time() - started)


def update_seconds(
    parts: Parts,
    observation: Observation = ATARI,
    actions: int = 18,
    precision: Precision = "fp32",
) -> float:
    """A forecast of one update of world model and behaviour on one thread."""
    config, beside = parts.config, beside_base(parts, observation)
    products = update_flops(config, actions, observation) / EFFICIENCY / product_rate(precision)
    numbers = SECONDS_PER_NUMBER * activations(config, observation)
    calls = SECONDS_PER_CALL * (update_calls(config) + beside.calls)
    return beside.ratio * (products + numbers) + calls


def estimate_seconds(
    parts: Parts,
    budget: Budget,
    protocol: Protocol,
    observation: Observation = ATARI,
    actions: int = 18,
    precision: Precision = "fp32",
) -> float:
    """A forecast of one run on one idle core, right within a factor of about two.

    Measured times of earlier runs are better; this is for the first plan. Of a recipe that
    measures and then decides how often to update, it knows the base's ratio alone.
    """
    config = parts.config
    every = evaluation_interval(protocol, budget)
    evaluations = (budget.env_frames - 1) // every - budget.prefill_frames // every
    episodes = evaluations * protocol.evaluation_episodes + protocol.final_evaluation_episodes
    cap = protocol.max_env_frames_per_episode // FRAMES_PER_AGENT_STEP
    typical = TYPICAL_EPISODE_AGENT_STEPS if observation == ATARI else TYPICAL_TASK_AGENT_STEPS
    steps = budget.env_frames / FRAMES_PER_AGENT_STEP + episodes * min(cap, typical)
    step = SECONDS_PER_AGENT_STEP + SECONDS_PER_ACTING_WEIGHT * weights(config, observation)
    update = update_seconds(parts, observation, actions, precision)
    return planned_updates(config, budget) * update + steps * step
