"""Every format that people annotate in, the whole way: read, check, convert, records, a batch."""

import numpy as np
import pytest

from input_pipeline import make_dataset, open_source
from input_pipeline.checks import check_source
from input_pipeline.convert import convert
from input_pipeline.records.write import write_records
from input_pipeline.sources import check_trainable
from tests.input_pipeline.datasets import outlined

pytestmark = pytest.mark.both_stacks


@pytest.fixture(params=list(outlined.WRITERS))
def config(request, tmp_path):
    dataset, write = outlined.WRITERS[request.param]
    write(tmp_path)
    return outlined.config_of(dataset, tmp_path)


def number_of(sample):
    return int(sample["image_id"][-1])


def by_name(source):
    """From what the classes are called in the scene to their places in a source."""
    names = source.dataset.class_names
    return np.array([names.index(name) for name in (*outlined.NAMES, "background")])


def test_labels_are_those_that_were_drawn(config):
    seen = []
    for split in ("train", "val"):
        source = open_source(config, split)
        things = {source.dataset.class_names[i] for i in source.dataset.thing_classes}
        assert things == {"car", "dog"}
        for index in range(len(source)):
            sample = source[index]
            number = number_of(sample)
            seen.append((split, number))
            semantic, objects = outlined.expected(number)
            np.testing.assert_array_equal(sample["semantic"], by_name(source)[semantic])
            assert outlined.same_partition(sample["instance"], objects)
            np.testing.assert_array_equal(sample["image"], outlined.photo(number))
            assert not sample["crowd"].any()
    assert sorted(seen) == sorted((outlined.split_of(n), n) for n in range(outlined.COUNT))


def test_checks_find_nothing_wrong(config):
    check_trainable(config)
    report = check_source(open_source(config, "train"), 256)
    assert report["errors"] == [] and report["problems"] == {}
    segments = {entry["name"]: entry["segments"] for entry in report["classes"]}
    assert segments == {"road": 4, "car": 6, "dog": 4, "background": 6}


@pytest.mark.parametrize("to", ["folder", "coco"])
def test_converted_labels_are_the_same(config, tmp_path_factory, to):
    root = tmp_path_factory.mktemp("converted")
    assert convert(config, ["train", "val"], to, str(root)) == {"train": 6, "val": 2}
    other = config.copy_and_resolve_references()
    other.data.dataset, other.data.root = to, str(root)
    for split in ("train", "val"):
        before, after = open_source(config, split), open_source(other, split)
        assert before.dataset.class_names == after.dataset.class_names
        assert before.dataset.thing_classes == after.dataset.thing_classes
        assert before.dataset.colors == after.dataset.colors
        samples = {number_of(after[i]): after[i] for i in range(len(after))}
        for index in range(len(before)):
            sample, again = before[index], samples[number_of(before[index])]
            for key in ("image", "semantic", "crowd"):
                np.testing.assert_array_equal(sample[key], again[key])
            assert outlined.same_partition(sample["instance"], again["instance"])


def test_records_and_files_give_the_same_batches(config, tmp_path_factory):
    config.data.shuffle = False
    recorded = config.copy_and_resolve_references()
    recorded.data.records = str(tmp_path_factory.mktemp("records"))
    for split in ("train", "val"):
        write_records(config, split, recorded.data.records, num_shards=1, processes=1)
    (images, targets), (others, other_targets) = (
        next(iter(make_dataset(c, "train"))) for c in (config, recorded)
    )
    np.testing.assert_array_equal(images, others)
    assert set(targets) == set(other_targets)
    for name, target in targets.items():
        np.testing.assert_array_equal(target, other_targets[name])
