"""CUDA: recording graphs, working beside the default stream, and copies that nobody waits for.

Not yet run on a GPU. What is known of the traps, and what is done about each:

- Gradients are accumulated on the stream where their nodes came into being: rehearsals use the
  stream of the recording, and drop their gradients.
- Memory of a graph belongs to it, and lies in a pool of its own. In a shared one, what a later
  graph gives may lie where an earlier one keeps what it needs in between: held or not, it would be
  written over when that one is replayed, and a state of acting waits for that.
- Another thread (an environment's, the one that pins memory) may call CUDA while we record:
  only calls of this thread can break a recording ("thread_local").
- A recording that fails leaves its stream as the current one: we put that back.
- Random numbers are inputs, so no generator has to be registered with a graph.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


class CudaGraphs:
    """Records on a stream of its own; what is replayed goes to the stream that is current then.

    Args:
        device: Of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def rehearse(self, work: Callable[[], T]) -> T:
        """Does the work on the recording's stream, in the order of the current one."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Captures the work.

        Raises:
            RuntimeError: If CUDA refuses.
        """
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._stream.device)
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                result = work()
        finally:
            torch.cuda.set_stream(current)
        return graph.replay, result


class SideStream:
    """A queue of work beside the default one.

    Args:
        device: Of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """What is asked for inside goes to this queue, and waits for nothing of the other."""
        with torch.cuda.stream(self._stream):
            yield

    def meet(self) -> None:
        """From here on each queue waits for what the other has been asked for so far."""
        default = torch.cuda.default_stream(self._stream.device)
        default.wait_stream(self._stream)
        self._stream.wait_stream(default)
