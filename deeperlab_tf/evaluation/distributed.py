"""Parses a dataset on all replicas of a strategy.

Each replica takes its share of the images, and every host gets all parses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.samples import Chosen
from deeperlab_tf.fusion import ops
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.compiled import CompiledParser, check_compiler
from deeperlab_tf.prediction.inference import LABEL_MAPS, parse_images, prepared_size
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

_OUTPUTS = (*LABEL_MAPS, "instance_score", "instance_keypoints", "num_instances")


class DistributedPredictor:
    """A network that parses the images of a dataset on all replicas.

    Compiled, as TPUs need it, network and fusion are one step on each replica; images are prepared
    for it, and parses brought back to their sizes, on the host.

    Args:
      network: of `build_model`, made in the strategy's scope.
      config: the whole config.
      dataset: the classes.
      strategy: where the network runs.
      compile: whether XLA compiles the step, which for TPUs it always does; None: on several GPUs
        whose images are padded to one size (`eval.pad_to_size`), for each size takes about a
        minute, once.

    Attributes:
      dataset: the classes.

    Raises:
      UserError: this TensorFlow cannot compile; images for TPUs are not padded to one size.

    Example:
      strategy = build_strategy("mirrored")
      with strategy.scope():
          network, config, dataset = load_run("runs/shapes")
      predictor = DistributedPredictor(network, config, dataset, strategy)
      evaluation = evaluate(predictor, open_source(config, "val"), "evaluations/shapes")
    """

    def __init__(
        self,
        network: keras.Model,
        config: ConfigDict,
        dataset: Dataset,
        strategy: tf.distribute.Strategy,
        compile: bool | None = None,
    ) -> None:
        self.dataset = dataset
        self._config, self._strategy = config, strategy
        self._parser = None
        is_tpu = _is_tpu(strategy, config)
        if compile is None:
            compile = is_worth_compiling(strategy, config)
        if compile and not is_tpu:
            check_compiler()
        if compile or is_tpu:
            self._parser = CompiledParser(network, config, dataset.thing_classes)

        def parse(images):
            # Images of many sizes: XLA's form would only be made in vain.
            with ops.one_form(compiled=False):
                return parse_images(network, images, config, dataset.thing_classes)

        def compiled(prepared):
            # A function for each replica, which has weights of its own.
            step = tf.function(self._parser.step, jit_compile=True, autograph=False)
            return step(prepared)

        step = parse
        if self._parser is not None:
            # A TPU compiles whatever it runs.
            step = self._parser.step if is_tpu else compiled

        # The sizes become dynamic, but where each is compiled.
        @tf.function(reduce_retracing=self._parser is None, autograph=False)
        def run_on_all(shares):
            outputs = strategy.run(step, args=(shares,))
            return {name: outputs[name] for name in _OUTPUTS if name in outputs}

        self._run = run_on_all

    def predict_all(
        self, source: Sequence[Mapping[str, Any]], batch_size: int = 1, progress: bool = True
    ) -> Iterator[tuple[int, Mapping[str, Any], Parsing]]:
        """Yields (index, sample, `Parsing`) of every sample, in order, on every host.

        Args:
          source: random access to samples.
          batch_size: images per step and replica, where all of a step have one size.
          progress: show a bar.
        """
        per_step = self._strategy.num_replicas_in_sync * batch_size
        last = len(source) - 1
        with tqdm(
            total=len(source), unit="image", desc="evaluating", disable=not progress or None
        ) as bar:
            for start in range(0, len(source), per_step):
                # What is left of the last step runs idle, on the last sample.
                samples = [source[min(start + place, last)] for place in range(per_step)]
                numbers = range(start, len(source))
                for number, sample, outputs in zip(
                    numbers, samples, self._step(samples, batch_size)
                ):
                    yield number, sample, Parsing.from_fused(outputs, self.dataset, sample["image"])
                    bar.update()

    def _step(self, samples, batch_size):
        """Outputs of each sample; replica r takes the samples r * batch_size and on."""
        images = [sample["image"] for sample in samples]
        # Images of several sizes go one after the other.
        if batch_size > 1 and len({image.shape for image in images}) > 1:
            turns = [self._step(samples[turn::batch_size], 1) for turn in range(batch_size)]
            return [turns[i % batch_size][i // batch_size] for i in range(len(samples))]

        def share(context):
            first = context.replica_id_in_sync_group * batch_size
            own = tf.constant(np.stack(images[first : first + batch_size]))
            return own if self._parser is None else self._parser.prepare(own)

        shares = self._strategy.experimental_distribute_values_from_function(share)
        outputs = self._run(shares)
        sizes = [self._map_size(image) for image in images]
        results = [{} for _ in images]
        for name, value in outputs.items():
            values, tail = self._gather(value)
            shapes = sizes if name in LABEL_MAPS else [tail] * len(images)
            for result, part in zip(results, _split(values, shapes)):
                result[name] = part
        if self._parser is None:
            return results
        return [self._restored(*pair) for pair in zip(results, images)]

    def _map_size(self, image):
        """Height and width of the label maps that a step gives for an image."""
        size = image.shape[:2]
        if self._parser is not None:
            size = prepared_size(*size, self._config)
        return tuple(int(side) for side in size)

    def _restored(self, outputs, image):
        """What the compiled step gives for an image, at the image's size."""
        batch = {name: tf.constant(value[np.newaxis]) for name, value in outputs.items()}
        restored = self._parser.restore(batch, image.shape[:2])
        return {name: value[0].numpy() for name, value in restored.items()}

    def _gather(self, value):
        """One output of all replicas, flat, and its shape without the batch and the image."""
        local = self._strategy.experimental_local_results(value)
        tail = tuple(local[0].shape[1:])
        if self._strategy.num_replicas_in_sync == 1:
            return tf.reshape(local[0], [-1]).numpy(), tail
        # Flat: replicas' images differ in size.
        flat = self._strategy.run(lambda tensor: tf.reshape(tensor, [-1]), args=(value,))
        return self._strategy.gather(flat, axis=0).numpy(), tail


def _split(values, shapes):
    """The part of each image of an output of all, flat: a list of arrays of these shapes."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(values, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes)]


def _is_tpu(strategy, config):
    """Whether the strategy is for TPUs, on which images must have one size."""
    is_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    if is_tpu and not config.eval.pad_to_size:
        raise UserError(
            "TPUs evaluate images of one size; give --config.eval.pad_to_size, and "
            "--config.eval.image_size if they are small."
        )
    return is_tpu


def is_worth_compiling(strategy: tf.distribute.Strategy, config: ConfigDict) -> bool:
    """Whether an evaluation's step is compiled unless it is said otherwise."""
    devices = strategy.extended.worker_devices
    on_gpus = len(devices) > 1 and all("GPU:" in device for device in devices)
    return on_gpus and config.eval.pad_to_size


def make_evaluation(
    source: Sequence[Mapping[str, Any]], config: ConfigDict, strategy: tf.distribute.Strategy
) -> Callable[[keras.Model], dict[str, Any]]:
    """The function by which a training evaluates: network -> dict of `ParsingMetrics.result`.

    Args:
      source: random access to samples.
      config: the whole config; the first `train.evaluate_images` samples count, `eval.batch_size`
        of them per step and replica.
      strategy: the training's.

    Raises:
      UserError: images for TPUs are not padded to one size.
    """
    _is_tpu(strategy, config)
    count = min(config.train.evaluate_images or len(source), len(source))
    dataset = source.dataset
    predictors = {}  # of each network that was evaluated: making one takes time

    def evaluate(network):
        if id(network) not in predictors:
            predictors[id(network)] = DistributedPredictor(network, config, dataset, strategy)
        predictor = predictors[id(network)]
        metrics = ParsingMetrics(dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
        samples = Chosen(source, range(count))
        for _, sample, parsing in predictor.predict_all(
            samples, config.eval.batch_size, progress=False
        ):
            metrics.update(
                sample["semantic"],
                sample["instance"],
                parsing.semantic,
                parsing.instance,
                sample["crowd"],
            )
        return metrics.result()

    return evaluate
