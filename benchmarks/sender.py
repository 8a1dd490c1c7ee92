"""A C-STORE sender that is faster than any receiver: everything is encoded before the clock starts.

    python -m benchmarks.sender PORT AET ASSOCIATIONS SLICES SEED FOLDER

sends SLICES instances on each of ASSOCIATIONS associations at once, made from the files in FOLDER with new UIDs (one
study and series an association), and prints as JSON how long that took from the first byte of the first request to the
last response, when the last response came (`time.monotonic`, which all processes of a machine share), how long an
answer took from the first byte of its request, and the studies.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from ichnode.core.identity import derived_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
# No data set (0000,0800), then Status (0000,0900), implicit little endian; a Message ID can look like the second alone.
_STATUS = bytes.fromhex("000000080200000001010000000902000000")
_RELEASE = bytes.fromhex("05000000000400000000")


class Association:
    """One association with everything it is going to say."""

    def __init__(self, port: int, called: str, syntax: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(_request(called, syntax))
        kind, body = self._pdu()
        if kind != 2:
            raise RuntimeError(f"{called} rejected the association: PDU type {kind}, {body.hex()}")
        accepted = A_ASSOCIATE_AC()
        accepted.decode(struct.pack(">BxL", kind, len(body)) + body)
        self.max_pdu = min(accepted.user_information.maximum_length or 131072, 131072)
        self.messages: list[bytes] = []
        self.waited: list[float] = []

    def prepare(self, uid: str, data_set: bytes, number: int) -> None:
        """Encode one C-STORE request."""
        primitive = C_STORE()
        primitive.MessageID = number % 65535 + 1
        primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID, primitive.Priority = CT, uid, 0
        primitive.DataSet = BytesIO(data_set)
        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        parts = []
        for data in message.encode_msg(1, self.max_pdu):
            pdu = P_DATA_TF()
            pdu.from_primitive(data)
            parts.append(pdu.encode())
        self.messages.append(b"".join(parts))

    def send(self) -> None:
        """Send everything, each instance after the answer to the one before, as every storage SCU does."""
        self.began = time.monotonic()
        for message in self.messages:
            asked = time.monotonic()
            self.socket.sendall(message)
            kind, body = self._pdu()
            self.waited.append(1000 * (time.monotonic() - asked))
            at = body.find(_STATUS)
            if kind != 4 or at < 0 or body[at + len(_STATUS) : at + len(_STATUS) + 2] != b"\0\0":
                raise RuntimeError(f"not stored: PDU type {kind}, {body[:200].hex()}")
        self.ended = time.monotonic()

    def release(self) -> None:
        """Release and close."""
        self.socket.sendall(_RELEASE)
        self._pdu()
        self.socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._bytes(6))
        return kind, self._bytes(length)

    def _bytes(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                raise RuntimeError("the peer closed the connection")
            got += more
        return bytes(got)


def _request(called: str, syntax: str) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "BENCH", called
    context = build_context(CT, [syntax])
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 131072
    implementation.implementation_class_uid = derived_uid("benchmarks")
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def main(port: int, called: str, associations: int, slices: int, seed: str, folder: Path) -> dict[str, Any]:
    """Send, and return what is printed."""
    templates = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    opened, studies = [], []
    for lane in range(associations):
        association = Association(port, called, templates[0].file_meta.TransferSyntaxUID)
        studies.append(derived_uid("bench", "study", seed, str(lane)))
        for number in range(slices):
            ds = templates[number % len(templates)]
            ds.StudyInstanceUID, ds.SeriesInstanceUID = studies[-1], derived_uid("bench", "series", seed, str(lane))
            ds.SOPInstanceUID = derived_uid("bench", "image", seed, str(lane), str(number))
            ds.AccessionNumber = f"B{studies[-1][-9:]}"
            data_set = encode(ds, False, True)
            assert data_set is not None
            association.prepare(ds.SOPInstanceUID, data_set, number)
        opened.append(association)
    errors: list[str] = []

    def run(association: Association) -> None:
        try:
            association.send()
        except (RuntimeError, OSError) as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run, args=(association,)) for association in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit("; ".join(errors))
    last = max(association.ended for association in opened)
    for association in opened:
        association.release()
    waited = sorted(wait for association in opened for wait in association.waited)
    return {
        "seconds": last - min(a.began for a in opened), "last_answer": last, "studies": studies,
        "median_ms": waited[len(waited) // 2], "p99_ms": waited[len(waited) * 99 // 100], "longest_ms": waited[-1],
    }  # fmt: skip


if __name__ == "__main__":
    port, called, associations, slices, seed, folder = sys.argv[1:]
    print(json.dumps(main(int(port), called, int(associations), int(slices), seed, Path(folder))))
