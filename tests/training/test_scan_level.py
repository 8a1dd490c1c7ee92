"""From slices to scans."""

import numpy as np
from ichnode_training.scan_level import Forest, described, highest


def test_a_forest_reads_scans_of_any_length_by_how_their_slices_score():
    rng = np.random.default_rng(0)
    labels = np.full((60, 6), np.nan, np.float32)
    labels[:, 0] = np.arange(60) % 2
    labels[:, 1] = 0
    scans = []
    for bleeds in labels[:, 0]:
        scores = rng.uniform(0, 0.4, (int(rng.integers(12, 40)), 6)).astype(np.float32)
        scores[int(rng.integers(len(scores))), 0] = 0.95  # one bright artefact in every scan: the maximum sees nothing
        if bleeds:
            scores[3:8, 0] = rng.uniform(0.5, 0.8, 5)
        scans.append(scores)
    found = Forest(scans[:40], labels[:40])(scans[40:])
    truth = labels[40:, 0] > 0
    assert found[truth, 0].min() > found[~truth, 0].max()
    np.testing.assert_array_equal(found[:, 1:], highest(scans[40:])[:, 1:])
    assert described(scans[0]).shape == described(scans[1][:3]).shape
