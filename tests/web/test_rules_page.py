"""The rule tester: the node's own rules on uploaded files; nothing is kept, nothing too large is read."""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from ichnode.worklist import schema
from tests.made import rows
from tests.peers import wait_until


@pytest.fixture
def options():
    return {"web": {"upload_bytes": 8 << 20}}


def uploads(folder, number=None):
    return [("files", (p.name, p.read_bytes(), "application/dicom")) for p in sorted(folder.iterdir())[:number]]


def test_a_head_would_be_analysed_and_nothing_is_kept(people, visitor, head_ct, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    visit = visitor("reader")
    answer = visit.post("/rules", data={"csrf": visit.csrf()}, files=uploads(head_ct))
    assert answer.status_code == 200
    assert "would be analysed" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.text))
    assert "32 slices" in answer.text
    assert list((tmp_path / "tmp").iterdir()) == []
    assert rows(people.worklist, schema.instances) == []
    assert list((people.spool.root / "slices").iterdir()) == []


def test_a_part_of_it_and_what_is_no_dicom_would_not(people, visitor, head_ct):
    visit = visitor("reader")
    files = [*uploads(head_ct, 3), ("files", ("<b>x</b>.txt", b"hello", "text/plain"))]
    text = visit.post("/rules", data={"csrf": visit.csrf()}, files=files).text
    assert "would not be analysed" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))
    assert "TOO_FEW_SLICES" in text
    assert "&lt;b&gt;x&lt;/b&gt;.txt" in text
    assert "NOT_DICOM" in text


def test_without_a_file_it_says_so(people, visitor):
    answer = visitor("reader").submit("/rules")
    assert answer.status_code == 400
    assert "at least one DICOM file" in answer.text


def test_more_than_is_taken_at_once_is_refused_said_or_not(people, visitor):
    visit = visitor("reader")
    big = [("files", ("x", b"\0" * (9 << 20), "application/dicom"))]
    assert visit.post("/rules", data={"csrf": visit.csrf()}, files=big).status_code == 413

    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield b"\0" * 65536

    kind = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRF-Token": visit.csrf()}
    assert visit.post("/rules", content=endless(), headers=kind).status_code == 413


def test_of_two_uploads_at_once_the_second_is_refused_before_it_is_read(people, visitor):
    first, second, begun, go_on = visitor("reader"), visitor("radiologist"), Event(), Event()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    def slowly():
        yield b"--x\r\n"
        begun.set()
        go_on.wait(300)
        yield b'Content-Disposition: form-data; name="other"\r\n\r\nx\r\n--x--\r\n'

    with ThreadPoolExecutor(1) as pool:
        headers = {**kind, "X-CSRF-Token": first.csrf()}
        waits = pool.submit(lambda: first.post("/rules", content=slowly(), headers=headers).status_code)
        try:
            assert begun.wait(120)
            token = second.csrf()

            def refused():
                return second.submit("/rules").status_code == 503

            wait_until(refused, 30, "the first upload has its turn")
            said = second.post("/api/v1/rules", content=b"x" * 1000, headers={**kind, "X-CSRF-Token": token})
            assert (said.status_code, said.json()["error"]["code"]) == (503, "BUSY")
        finally:
            go_on.set()
        assert waits.result() == 400, "no file came"
    assert second.submit("/rules").status_code == 400
