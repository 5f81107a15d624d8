"""Work of one shape as a CUDA graph: launched as a whole, once captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from subtrain.errors import InputError
from subtrain.trainers.kit.out_of_memory import is_out_of_memory

WARM_UPS = 3


def captured(run: Callable[[], None], device: Any) -> Callable[[], None]:
    """What repeats `run` on the tensors it uses now: a graph's replay on a GPU, on the CPU `run` itself.

    It is run a few times first, beside the current stream, as PyTorch asks for. Raises InputError for what cannot be
    captured; an error of the device's memory passes through.
    """
    if device.type != "cuda":
        run()
        return run
    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            run()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"a training step cannot be captured; set cuda_graph=False: {error}") from error
    replay: Callable[[], None] = graph.replay
    return replay
