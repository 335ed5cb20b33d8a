"""Random streams: one generator per owner, derived from the run's seed and the owner's name."""

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Streams:
    """Gives every owner its own random numbers, whatever the others draw.

    A stream depends on (seed, owner) alone, so adding or removing an owner moves nobody else's
    numbers: arms of one seed share initial weights, environment seeds and replay draws as far as
    their arithmetic agrees.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self._seed = seed
        self._device = torch.device(device)
        self._generators: dict[str, torch.Generator] = {}
        self._prefix = ""

    def within(self, owner: str) -> "Streams":
        """These streams as `owner` sees them who has many: "x" there is "owner/x" here.

        What is drawn there moves the positions that `state_dict` tells here.
        """
        inner = copy.copy(self)
        inner._prefix = f"{self._prefix}{owner}/"
        return inner

    def integer(self, owner: str, *index: int) -> int:
        """A number in [0, 2^31) for (owner, index), stateless: episode seeds, for example."""
        return self._integer(self._prefix + owner, *index)

    def _integer(self, owner: str, *index: int) -> int:
        words = np.frombuffer(hashlib.sha256(owner.encode()).digest(), dtype=np.uint32)
        sequence = np.random.SeedSequence(
            entropy=self._seed, spawn_key=(*(int(word) for word in words), *index)
        )
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(33))

    def initialiser(self, tag: str) -> torch.Generator:
        """A fresh CPU generator for the initial weights of the module `tag`."""
        return torch.Generator().manual_seed(self.integer(f"initial/{tag}"))

    def __getitem__(self, owner: str) -> torch.Generator:
        """The running generator of `owner`, on this run's device."""
        return self._generator(self._prefix + owner)

    def _generator(self, owner: str) -> torch.Generator:
        if owner not in self._generators:
            generator = torch.Generator(device=self._device)
            self._generators[owner] = generator.manual_seed(self._integer(owner))
        return self._generators[owner]

    def uniforms(self, owner: str, *shape: int) -> Tensor:
        """Draws `shape` numbers in [0, 1) from the stream of `owner`."""
        return torch.rand(*shape, generator=self[owner], device=self._device)

    def state_dict(self) -> dict[str, Tensor]:
        """The position of every stream that has been used."""
        return {owner: stream.get_state() for owner, stream in self._generators.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts every stream back to where `state_dict` found it."""
        self._generators.clear()
        for owner, position in state.items():
            self._generator(owner).set_state(position)
