"""Small random parses that metrics tests share."""

import numpy as np
import pytest

VOID = 255


@pytest.fixture(scope="session")
def random_parse():
    """Function: (seed, size, num_classes) -> gt_semantic, gt_instance, pred_semantic,
    pred_instance, gt_crowd.

    Blocky maps with void, crowd and unlabelled regions, in which many segments nearly agree.
    """

    def make(seed, size=(24, 32), num_classes=5):
        rng = np.random.default_rng(seed)
        blocks = [side // 4 for side in size]

        def blow_up(values):
            return np.repeat(np.repeat(values, 4, axis=0), 4, axis=1)

        semantic = rng.integers(0, num_classes, blocks)
        instance = rng.integers(0, 3, blocks)
        crowd = rng.random(blocks) < 0.15
        changed = rng.random(size) < 0.2
        pred_semantic = np.where(changed, rng.integers(0, num_classes, size), blow_up(semantic))
        pred_instance = np.where(
            rng.random(size) < 0.1, rng.integers(0, 3, size), blow_up(instance) + 7
        )
        gt_semantic, gt_instance = blow_up(semantic), blow_up(instance)
        gt_semantic = np.where(blow_up(rng.random(blocks) < 0.2), VOID, gt_semantic)
        pred_semantic = np.where(rng.random(size) < 0.05, VOID, pred_semantic)
        maps = (gt_semantic, gt_instance, pred_semantic, pred_instance)
        return (*(values.astype(np.int32) for values in maps), blow_up(crowd))

    return make
