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
from deeperlab_tf.evaluation.samples import Chosen
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.model import build_model
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

_MAPS = ("semantic", "instance", "panoptic")
_OUTPUTS = (*_MAPS, "instance_score", "instance_keypoints", "num_instances")


class DistributedPredictor:
    """A network that parses the images of a dataset on all replicas.

    On TPU the network runs on the host's processors: the fusion has no TPU kernels.

    Args:
      network: of `build_model`, made in the strategy's scope.
      config: the whole config.
      dataset: the classes.
      strategy: where the network runs.

    Attributes:
      dataset: the classes.

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
    ) -> None:
        self.dataset = dataset
        self._source, self._network = network, network
        if isinstance(strategy, tf.distribute.TPUStrategy):
            self._network = build_model(config.model, dataset)
            strategy = tf.distribute.get_strategy()
        self._strategy = strategy
        network = self._network

        def parse(images):
            outputs = parse_images(network, images, config, dataset.thing_classes)
            return {name: outputs[name] for name in _OUTPUTS if name in outputs}

        # Images of many sizes: the sizes become dynamic.
        @tf.function(reduce_retracing=True, autograph=False)
        def parse_shares(shares):
            return strategy.run(parse, args=(shares,))

        self._parse = parse_shares

    def predict_all(
        self, source: Sequence[Mapping[str, Any]], batch_size: int = 1, progress: bool = True
    ) -> Iterator[tuple[int, Mapping[str, Any], Parsing]]:
        """Yields (index, sample, `Parsing`) of every sample, in order, on every host.

        Args:
          source: random access to samples.
          batch_size: images per step and replica, where all of a step have one size.
          progress: show a bar.
        """
        if self._network is not self._source:
            self._network.set_weights(self._source.get_weights())
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
            return tf.constant(np.stack(images[first : first + batch_size]))

        shares = self._strategy.experimental_distribute_values_from_function(share)
        outputs = self._parse(shares)
        results = [{} for _ in images]
        for name, value in outputs.items():
            values, tail = self._gather(value)
            for result, part in zip(results, _split(values, name, tail, images)):
                result[name] = part
        return results

    def _gather(self, value):
        """One output of all replicas, flat, and its shape without the batch and the image."""
        local = self._strategy.experimental_local_results(value)
        tail = tuple(local[0].shape[1:])
        if self._strategy.num_replicas_in_sync == 1:
            return tf.reshape(local[0], [-1]).numpy(), tail
        # Flat: replicas' images differ in size.
        flat = self._strategy.run(lambda tensor: tf.reshape(tensor, [-1]), args=(value,))
        return self._strategy.gather(flat, axis=0).numpy(), tail


def _split(values, name, tail, images):
    """The part of each image of an output of all, flat: a list of arrays."""
    is_map = name in _MAPS
    shapes = [image.shape[:2] if is_map else tail for image in images]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(values, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes)]


def make_evaluation(
    source: Sequence[Mapping[str, Any]], config: ConfigDict, strategy: tf.distribute.Strategy
) -> Callable[[keras.Model], dict[str, Any]]:
    """The function by which a training evaluates: network -> dict of `ParsingMetrics.result`.

    Args:
      source: random access to samples.
      config: the whole config; the first `train.evaluate_images` samples count, `eval.batch_size`
        of them per step and replica.
      strategy: the training's.
    """
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
