"""Parses a dataset on all replicas of a strategy: each takes its share of the images, every host
gets all parses.
"""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.model import build_model
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.parsing import Parsing

_MAPS = ("semantic", "instance", "panoptic")
_OUTPUTS = (*_MAPS, "instance_score", "instance_keypoints", "num_instances")


class DistributedPredictor:
    """A network that parses the images of a dataset on all replicas.

    On TPU the network runs on the host's processors: the fusion has no TPU kernels.

    Args:
      network: keras.Model of `build_model`, made in the strategy's scope.
      config: the full config.
      dataset: `schema.Dataset`.
      strategy: tf.distribute.Strategy.
    """

    def __init__(self, network, config, dataset, strategy):
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
            return self._strategy.run(parse, args=(shares,))

        self._parse = parse_shares

    def predict_all(self, source, batch_size, progress=True):
        """Yields (index, sample, `Parsing`) of every sample, in order, on every host.

        Args:
          source: random access to samples.
          batch_size: images a step and replica, where all of a step have one size.
          progress: show a bar.
        """
        if self._network is not self._source:
            self._network.set_weights(self._source.get_weights())
        count = self._strategy.num_replicas_in_sync * batch_size
        with tqdm(
            total=len(source), unit="image", desc="evaluating", disable=not progress or None
        ) as bar:
            for start in range(0, len(source), count):
                # The last step's rest runs idle.
                numbers = [min(start + i, len(source) - 1) for i in range(count)]
                samples = [source[number] for number in numbers]
                for number, sample, outputs in zip(
                    range(start, len(source)), samples, self._step(samples, batch_size)
                ):
                    yield number, sample, Parsing.from_fused(outputs, self.dataset, sample["image"])
                    bar.update()

    def _step(self, samples, batch_size):
        """Outputs of each sample; replica r takes the samples r * batch_size and on."""
        images = [sample["image"] for sample in samples]
        # One after the other, each in its own size.
        if batch_size > 1 and len({image.shape for image in images}) > 1:
            turns = [self._step(samples[turn::batch_size], 1) for turn in range(batch_size)]
            return [turns[i % batch_size][i // batch_size] for i in range(len(samples))]

        def share(context):
            first = context.replica_id_in_sync_group * batch_size
            return tf.constant(np.stack(images[first : first + batch_size]))

        shares = self._strategy.experimental_distribute_values_from_function(share)
        outputs = self._parse(shares)
        flat = {name: self._gather(value) for name, value in outputs.items()}
        pixels = [image.shape[0] * image.shape[1] for image in images]
        result = [{} for _ in images]
        for name, (values, tail) in flat.items():
            sizes = pixels if name in _MAPS else [len(values) // len(images)] * len(images)
            for item, image, part in zip(result, images, np.split(values, np.cumsum(sizes)[:-1])):
                item[name] = part.reshape(image.shape[:2] if name in _MAPS else tail)
        return result

    def _gather(self, value):
        """One output of all replicas, flat, and its shape without the batch and the image."""
        local = self._strategy.experimental_local_results(value)
        tail = tuple(local[0].shape[1:])
        if self._strategy.num_replicas_in_sync == 1:
            return tf.reshape(local[0], [-1]).numpy(), tail
        flat = self._strategy.run(lambda tensor: tf.reshape(tensor, [-1]), args=(value,))
        return self._strategy.gather(flat, axis=0).numpy(), tail


def make_evaluation(source, config, strategy):
    """The function that `fit` evaluates by: network -> dict of `ParsingMetrics` over (the first of)
    a source's images.

    Args:
      source: random access to samples.
      config: the full config; `train.evaluate_images` of the samples count, `eval.batch_size` a
        step and replica.
      strategy: the training's.
    """
    count = min(config.train.evaluate_images or len(source), len(source))
    dataset = source.dataset
    predictors = {}

    def evaluate(network):
        if id(network) not in predictors:
            predictors[id(network)] = DistributedPredictor(network, config, dataset, strategy)
        metrics = ParsingMetrics(dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
        predictions = predictors[id(network)].predict_all(
            _First(source, count), config.eval.batch_size, progress=False
        )
        for _, sample, parsing in predictions:
            metrics.update(
                sample["semantic"],
                sample["instance"],
                parsing.semantic,
                parsing.instance,
                sample["crowd"],
            )
        return metrics.result()

    return evaluate


class _First:
    """The first samples of a source."""

    def __init__(self, source, count):
        self._source, self._count = source, count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return self._source[index]
