"""What TensorBoard shows of a run that was killed and went on."""

from pathlib import Path

from ichnode_training.telling import Progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def curve(folder: Path) -> dict[int, float]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("loss")}


def test_each_step_is_on_disk_once_it_is_told(tmp_path):
    with Progress(tmp_path) as progress:
        for step in range(3):
            progress.step(step, 8, float(step), 1.0)
        assert curve(tmp_path) == {0: 0.0, 1: 1.0, 2: 2.0}  # as a kill at this moment would leave it


def test_a_run_that_goes_on_within_the_second_it_began_in_keeps_its_beginning(tmp_path):
    with Progress(tmp_path) as killed:
        for step in range(4):
            killed.step(step, 8, float(step), 1.0)
    (written,) = tmp_path.glob("events.out.tfevents.*")
    second = written.name.split(".")[3]
    written.rename(written.with_name(f"events.out.tfevents.{second}.zzz.99999999.0"))  # its process comes last by name
    with Progress(tmp_path) as going_on:
        for step in range(2, 5):
            going_on.step(step, 8, 10.0 + step, 1.0)
    assert curve(tmp_path) == {0: 0.0, 1: 1.0, 2: 12.0, 3: 13.0, 4: 14.0}
