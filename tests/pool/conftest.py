"""Studies for a node whose series a pool reads; each module has its own ``node``."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.sender import send_once


@pytest.fixture
def new_study(head_ct, tmp_path, node):
    """``new_study()`` sends a series of a study that nobody has seen, and returns the study's UID."""

    def send():
        study, series = generate_uid(), generate_uid()
        folder = tmp_path / series
        folder.mkdir()
        for source in sorted(head_ct.iterdir()):
            dataset = dcmread(source)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.save_as(folder / source.name)
        send_once(node.port, sorted(folder.iterdir()))
        return study

    return send
