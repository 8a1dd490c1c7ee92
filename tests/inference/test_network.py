import pytest
import torch
from torch.nn.utils.rnn import unpack_sequence

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


def test_the_two_dimensional_baseline_has_no_sequence():
    network = CnnLstm("resnet10t", layers=0).eval()
    assert network.lstm is None and network.head.in_features == network.features
    scan = torch.randn(5, 3, 64, 64)
    with torch.inference_mode():
        together = network(scan, [5])
        alone = torch.cat([network(one, [1]) for one in scan.split(1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_deltas_are_the_steps_to_the_neighbours_and_stop_at_the_scans_ends():
    network = CnnLstm("resnet10t", hidden=8, layers=1, deltas=True)
    assert network.lstm is not None and network.lstm.input_size == 3 * network.features
    seen = []
    network.lstm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    features = torch.arange(5.0)[:, None].repeat(1, network.features) ** 2
    network.read(features, [3, 2])
    first, second = unpack_sequence(seen[0])
    width = network.features
    assert first[:, [0, width, 2 * width]].tolist() == [[0, 0, 1], [1, 1, 3], [4, 3, 0]]
    assert second[:, [0, width, 2 * width]].tolist() == [[9, 0, 7], [16, 7, 0]]


@pytest.mark.parametrize("attention", [False, True])
def test_scans_are_read_from_their_own_slices(attention):
    network = CnnLstm("resnet10t", hidden=8, layers=1, slice_head=True, attention=attention).eval()
    features = torch.randn(9, network.features)
    logits, scans = network.read_scans(features, [4, 5])
    torch.testing.assert_close(logits, network.read(features, [4, 5]))
    for part, scan in zip(logits.split([4, 5]), scans, strict=True):
        assert bool((scan <= part.amax(0) + 1e-5).all()) and bool((scan >= part.amin(0) - 1e-5).all())
        assert torch.equal(scan, part.amax(0)) is not attention
    apart = torch.cat([network.read_scans(part, [len(part)])[1] for part in features.split([4, 5])])
    torch.testing.assert_close(apart, scans, atol=1e-5, rtol=1e-5)


def test_attention_asks_for_each_class_on_its_own():
    network = CnnLstm("resnet10t", hidden=8, layers=1, attention=True).eval()
    with torch.no_grad():
        network.attention.weight.zero_()
        network.attention.bias.zero_()
        features = torch.randn(4, network.features)
        logits, scans = network.read_scans(features, [4])
        torch.testing.assert_close(scans[0], logits.mean(0))
        network.attention.weight[2] = 1e3 * torch.randn(16)
        _, moved = network.read_scans(features, [4])
    assert [column for column in range(6) if not torch.allclose(moved[0, column], scans[0, column])] == [2]
