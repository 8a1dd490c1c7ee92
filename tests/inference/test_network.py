import pytest
import torch

from ichnode.core.findings import CLASSES
from ichnode.inference.network import CnnLstm


@pytest.mark.parametrize("backbone", ["resnet50", "seresnext50_32x4d"])
def test_the_papers_network(backbone):
    network = CnnLstm(backbone)
    assert network.features == 2048
    lstm = network.lstm
    assert (lstm.input_size, lstm.hidden_size, lstm.num_layers) == (2048, 512, 2)
    assert lstm.bidirectional and lstm.batch_first and lstm.dropout == 0
    assert (network.head.in_features, network.head.out_features) == (1024, 6)
    assert torch.count_nonzero(network.head.bias) == 0
    assert network.slice_head is None
    assert CLASSES[0] == "any"


def test_any_backbone_by_name():
    network = CnnLstm("mobilenetv3_small_050", hidden=4, layers=1).eval()
    assert network(torch.zeros(3, 3, 64, 64), [3]).shape == (3, 6)


def _network(slice_head: bool = False) -> CnnLstm:
    torch.manual_seed(1)
    return CnnLstm("resnet10t", hidden=16, slice_head=slice_head).eval()


@pytest.mark.parametrize("slice_head", [False, True])
def test_batch_mates_never_change_a_score(slice_head):
    network = _network(slice_head)
    scans = [torch.randn(length, 3, 64, 64) for length in (1, 9, 4, 30)]
    with torch.inference_mode():
        alone = [network(scan, [len(scan)]) for scan in scans]
        together = network(torch.cat(scans), [len(scan) for scan in scans]).split([len(scan) for scan in scans])
        poisoned = [scan if index == 1 else torch.full_like(scan, 1e4) for index, scan in enumerate(scans)]
        beside_poison = network(torch.cat(poisoned), [len(scan) for scan in scans]).split([len(s) for s in scans])
    for own, shared in zip(alone, together, strict=True):
        torch.testing.assert_close(own, shared, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(beside_poison[1], together[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(beside_poison[3], together[3], atol=1e-3), "the test could not see a leak"


def test_the_lstm_sees_neighbours_in_both_directions():
    network = _network()
    scan = torch.randn(5, 3, 64, 64)
    changed_end, changed_start = scan.clone(), scan.clone()
    changed_end[4] += 3
    changed_start[0] += 3
    with torch.inference_mode():
        before = network(scan, [5])
        assert not torch.equal(network(changed_end, [5])[0], before[0])
        assert not torch.equal(network(changed_start, [5])[4], before[4])


@pytest.mark.parametrize("lengths", [[2, 2], [5, 0], [6]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(ValueError, match="Lengths"):
        _network()(torch.zeros(5, 3, 64, 64), lengths)
