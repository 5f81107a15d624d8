"""Models an hour on one GPU: the paper's ResNet-9, the airbench class, and thousands of small networks at once.

    python benchmarks/gpu_train.py                     # an H200 or H100; writes benchmarks/results/gpu_train.json
    python benchmarks/gpu_train.py --stages ceilings resnet9 step processes airbench mlp      # some of them
    python benchmarks/gpu_train.py --quick --device cpu      # does it run? Tiny sizes, nothing is written

Data: CIFAR-10 at alpha = 0.5, 25,000 of 50,000 images; --data names the files (see `subtrain.tasks.kit.pixels`).
Where they are not at hand, random pixels of that shape take their place: as fast, and said in the results.

Before any run. ResNet-9 is 291.3 M multiply-adds an image; forward and backward, less the first layer's gradient of its
input, are 1.744 GFLOP, so 25,000 images for 24 epochs are 1.047 PFLOP (the 48 whole minibatches of 512, which are what
is trained on, 1.029). A step of 512 images is 0.89 TFLOP: 1.2 ms at 750 T/s, twice that at what convolutions of 64 to
256 channels reach. Memory: 0.27 M activations an image, some 25 passes a step of batch normalization, ReLU and
convolutions in 2 bytes, 7 GB: 1.7 ms at 4 TB/s, a third of it if fused. So predicted: 4 ms a step captured (800 models
an hour), 3 ms compiled and captured (1,050 an hour), eager the same as captured only if one core launches some 150
kernels in 4 ms. Several processes share the device and gain what waiting for the host wastes.
Airbench class: 10 epochs of 25 x 1,000 images, 0.177 PFLOP, a sixth: six times the models, or fewer by what the host
does for each. MLP-64 on 500 digits: 320 steps of some 0.4 ms for 4,096 models: 30,000 a second on the device, if the
host draws as many initial weights and orders (0.1 ms a model and thread).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
import traceback
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from subtrain.tasks.cifar import AIRBENCH, RESNET9
from subtrain.tasks.kit.pixels import image_data
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import train_mlp
from subtrain.trainers.torch.data import as_pair
from subtrain.trainers.torch.loop import Trainer
from subtrain.trainers.torch.mlp_many import ManyMlps
from subtrain.trainers.torch.models.airbench import airbench, parameter_groups, whiten
from subtrain.trainers.torch.models.resnet9 import resnet9

RESULTS = Path(__file__).parent / "results" / "gpu_train.json"
DATA = "shared/data/cifar10/cifar10_jpeg_{split}.npz"


@dataclass(frozen=True)
class Size:
    """How much is measured. models: timed trainings a way to train; rounds: of at_once small networks."""

    n: int = 50_000
    targets: int = 10_000
    width: int = 64
    batch: int | None = None
    epochs: int | None = None
    models: int = 5
    processes: tuple[int, ...] = (1, 2, 3)
    side: int = 8192
    repeats: int = 50
    at_once: int = 4096
    rounds: int = 4


QUICK = Size(60, 20, 4, 10, 1, 2, (1, 2), 256, 3, 8, 2)

WAYS = {
    "made anew, eager": {"reuse": False, "cuda_graph": False},
    "kept, eager": {"cuda_graph": False},
    "kept, captured": {},
    "kept, compiled and captured": {"compile": True},
}
CAPTURED = {name: way for name, way in WAYS.items() if "captured" in name}


def settle(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work, device, repeats):
    """Median wall seconds of `work`, after one warm-up."""
    taken = []
    for _ in range(repeats + 1):
        settle(device)
        began = time.perf_counter()
        work()
        settle(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def ceilings(job):
    """Rates of a large matrix product and a large copy (bytes read plus written)."""
    found, side = {}, job.size.side
    for name in ("bfloat16", "float16", "float32"):
        a, b = (torch.randn(side, side, device=job.device).to(getattr(torch, name)) for _ in range(2))
        found[f"{name}_T_s"] = 2 * side**3 / seconds(lambda a=a, b=b: a @ b, job.device, job.size.repeats) / 1e12
    source = torch.randn(side * side, device=job.device)
    copy = torch.empty_like(source)
    rate = 2 * source.nbytes / seconds(lambda: copy.copy_(source), job.device, job.size.repeats)
    return found | {"copy_GB_s": rate / 1e9}


@cache
def images(data, n, targets):
    """The splits, decoded once a process; random pixels without `data`."""
    if data:
        pairs = image_data(data, n, targets)
    else:
        random = np.random.default_rng(0)
        pairs = {
            split: (random.integers(0, 256, (k, 32, 32, 3), dtype=np.uint8), random.integers(0, 10, k))
            for split, k in (("train", n), ("test", targets))
        }
    return {split: as_pair(pair) for split, pair in pairs.items()}


@dataclass(frozen=True)
class Job:
    """What to measure, where, on which images."""

    size: Size
    device: torch.device
    data: str | None

    def images(self):
        return images(self.data, self.size.n, self.size.targets)

    def recipe(self, recipe, way):
        changes = {"batch": self.size.batch, "epochs": self.size.epochs, **way}
        if self.device.type == "cpu":
            changes |= {"dtype": "float32", "compile": False}
        return replace(recipe, device=str(self.device), **{k: v for k, v in changes.items() if v is not None})

    def resnet9(self, way):
        return Trainer(partial(resnet9, width=self.size.width), self.images(), self.recipe(RESNET9, way))

    def airbench(self, way):
        recipe = self.recipe(AIRBENCH, way)
        groups = partial(parameter_groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
        recipe = replace(recipe, groups=groups, start=whiten)
        return Trainer(partial(airbench, width=self.size.width), self.images(), recipe)

    def halves(self, models):
        for seed in range(models):
            yield np.sort(np.random.RandomState(seed).permutation(self.size.n)[: self.size.n // 2]), seed


def flop_an_image(trainer):
    """Floating-point operations of one image's forward and backward pass, counted by PyTorch."""
    model = trainer.make_model()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 32, 32)).sum().backward()
    return counter.get_total_flops() / 2


def training_flop(trainer, examples):
    """Those of one training."""
    recipe = trainer.recipe
    return flop_an_image(trainer) * recipe.epochs * min(examples, recipe.steps(examples) * recipe.batch)


def timed(trainer, job):
    """Seconds of setting up with a first model, of each further one, and what came out."""
    labels = trainer.data["test"][1].cpu().numpy()
    taken, accuracy = [], []
    for indices, seed in job.halves(job.size.models + 1):
        settle(job.device)
        began = time.perf_counter()
        logits = trainer.train(indices, seed, ["test"])["test"]
        taken.append(time.perf_counter() - began)
        accuracy.append(float((logits.argmax(1) == labels).mean()))
    each = statistics.median(taken[1:])
    flop = training_flop(trainer, job.size.n // 2)
    return {
        "models_an_hour": 3600 / each,
        "seconds": taken[1:],
        "first_seconds": taken[0],
        "accuracy": statistics.mean(accuracy),
        "training_PFLOP": flop / 1e15,
        "training_T_s": flop / each / 1e12,
    }


def each_way(job, measure, ways=WAYS):
    """A way that fails is recorded with its error, and the others go on."""
    found = {}
    for name, way in ways.items():
        if job.device.type == "cpu" and way.get("compile"):
            continue
        try:
            found[name] = measure(way)
        except Exception as error:
            traceback.print_exc()
            found[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(f"  {name}: {found[name]}", flush=True)
    return found


def resnet9_stage(job):
    return each_way(job, lambda way: timed(job.resnet9(way), job))


def airbench_stage(job):
    return each_way(job, lambda way: timed(job.airbench(way), job), CAPTURED)


def step_stage(job):
    """One step on a minibatch that is already made, and making the minibatches of an epoch."""
    return each_way(job, lambda way: one_step(job.resnet9(way), job), {"kept, eager": WAYS["kept, eager"], **CAPTURED})


def one_step(trainer, job):
    indices, seed = next(job.halves(1))
    rows = torch.from_numpy(indices).to(job.device)
    trainer._begin(rows, seed)
    x, y = next(trainer._minibatches(rows, seed))
    step = seconds(lambda: [trainer.step(x, y, 0.1) for _ in range(10)], job.device, job.size.repeats) / 10
    trainer.recipe = replace(trainer.recipe, epochs=1)
    batches = seconds(lambda: [None for _ in trainer._minibatches(rows, seed)], job.device, 5)
    return {
        "step_ms": step * 1e3,
        "step_GFLOP": flop_an_image(trainer) * len(x) / 1e9,
        "minibatches_of_an_epoch_ms": batches * 1e3,
        "steps_an_epoch": trainer.recipe.steps(len(indices)),
    }


def serve(job, way, ready, go, out):
    """One of several processes on the device."""
    torch.set_num_threads(1)
    trainer = job.resnet9(way)
    jobs = list(job.halves(job.size.models + 1))
    trainer.train(*jobs[0], ["test"])
    ready.put(None)
    go.wait()
    began = time.perf_counter()
    for indices, seed in jobs[1:]:
        trainer.train(indices, seed, ["test"])
    out.put((began, time.perf_counter()))


def processes_stage(job):
    """Models an hour of one, two, … processes that share the device."""
    found, spawn = {}, multiprocessing.get_context("spawn")
    way = WAYS["kept, captured"]
    for count in job.size.processes:
        ready, out, go = spawn.Queue(), spawn.Queue(), spawn.Event()
        workers = [spawn.Process(target=serve, args=(job, way, ready, go, out), daemon=True) for _ in range(count)]
        for worker in workers:
            worker.start()
        try:
            for _ in workers:
                ready.get(timeout=900)
            go.set()
            spans = [out.get(timeout=900) for _ in workers]
            wall = max(end for _, end in spans) - min(begin for begin, _ in spans)
            found[str(count)] = {"models_an_hour": 3600 * count * job.size.models / wall, "wall_s": wall}
        except Exception as error:
            found[str(count)] = {"error": f"a process of {count} did not answer: {type(error).__name__}"}
        for worker in workers:
            worker.terminate()
            worker.join()
        print(f"  {count} processes: {found[str(count)]}", flush=True)
    return found


def mlp_stage(job):
    """MLP-64 on halves of 1,000 digits, the recipe of `train_many.py`; beside it the compiled loop on one thread."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    x, y, test = (images[order[:1000]] / 16).astype(np.float32), labels[order[:1000]], images[order[1000:1300]] / 16
    test = test.astype(np.float32)
    threads, size = len(os.sched_getaffinity(0)), job.size
    many = ManyMlps(x, y, [test], classes=10, device=str(job.device), at_once=size.at_once, threads=threads)
    models = size.at_once * size.rounds
    masks = np.stack([np.random.RandomState(s).permutation(1000) < 500 for s in range(models)])
    seeds = np.arange(models, dtype=np.uint32)
    few = slice(0, min(64, models))
    many.train(masks[: size.at_once], seeds[: size.at_once])
    began = time.perf_counter()
    (logits,) = many.train(masks, seeds)
    wall = time.perf_counter() - began
    train_mlp(x, y, masks[:1], seeds[:1], [test], classes=10)
    began = time.perf_counter()
    (expected,) = train_mlp(x, y, masks[few], seeds[few], [test], classes=10)
    alone = time.perf_counter() - began
    difference = np.abs(logits[few] - expected).max(axis=(1, 2))
    return {
        "models_a_second": models / wall,
        "models": models,
        "at_once": size.at_once,
        "drawing_threads": threads,
        "compiled_loop_one_thread_models_a_second": len(expected) / alone,
        "recipe": str(Sgd()),
        "median_and_largest_logit_difference": [float(np.median(difference)), float(difference.max())],
    }


STAGES = {
    "ceilings": ceilings,
    "resnet9": resnet9_stage,
    "step": step_stage,
    "processes": processes_stage,
    "airbench": airbench_stage,
    "mlp": mlp_stage,
}


def against_ceilings(found):
    """Shares of the measured bfloat16 peak, and each step's time over its floor at that peak."""
    peak = found.get("ceilings", {}).get("bfloat16_T_s")
    if not peak:
        return
    for stage in ("resnet9", "airbench"):
        for result in found.get(stage, {}).values():
            if "training_T_s" in result:
                result["share_of_peak"] = result["training_T_s"] / peak
    for result in found.get("step", {}).values():
        if "step_ms" in result:
            result["floor_ms"] = result["step_GFLOP"] / peak
            result["over_floor"] = result["step_ms"] / result["floor_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, random pixels; prints and writes nothing")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--data", default=DATA, help="path of the images, see subtrain.tasks.kit.pixels")
    parser.add_argument("--models", type=int, help="timed trainings a way to train")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    size = QUICK if asked.quick else Size()
    if asked.models:
        size = replace(size, models=asked.models)
    there = Path(asked.data.format(split="train")).is_file() and not asked.quick
    job = Job(size, torch.device(asked.device), asked.data if there else None)
    torch.set_num_threads(1)
    found = {
        "command": f"python benchmarks/gpu_train.py --stages {' '.join(asked.stages)}",
        "device": torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else platform.processor(),
        "torch": torch.__version__,
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "images": asked.data if there else "random pixels",
        "size": str(size),
    }
    for stage in asked.stages:
        print(stage, flush=True)
        found[stage] = STAGES[stage](job)
        against_ceilings(found)
        if not asked.quick:
            asked.out.parent.mkdir(exist_ok=True)
            asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
