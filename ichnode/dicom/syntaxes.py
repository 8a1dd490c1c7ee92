"""Which SOP classes the node stores, and in which transfer syntaxes: those it can really decode, tried at start.

`samples.json` holds the same 32 x 32 image, 16 bits, as one frame in each compressed transfer syntax. A syntax is
offered to peers only where its frame comes back right, so that a missing or broken decoder means a refused
presentation context, and the sender's next choice, instead of a slice that nobody can read.
"""

from __future__ import annotations

import base64
import importlib.resources
import json
from functools import cache
from io import BytesIO

import numpy as np

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CONVERTED_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
STORAGE_CLASSES = (CT_IMAGE, ENHANCED_CT, LEGACY_CONVERTED_ENHANCED_CT)

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
UNCOMPRESSED = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)

RLE = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL_LOSSLESS = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
COMPRESSED = (
    JPEG_LOSSLESS_SV1,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_2000,
    HTJ2K_LOSSLESS,
    HTJ2K_RPCL_LOSSLESS,
    HTJ2K,
    RLE,
)
LOSSY = frozenset((JPEG_LS_NEAR_LOSSLESS, JPEG_2000, HTJ2K))
_LOSSY_TOLERANCE = 2
"""The largest error, in grey levels, that the lossy samples were made with."""


@cache
def decodable_syntaxes() -> tuple[str, ...]:
    """Return the transfer syntaxes whose decoder is present and works, each tried on a sample.

    Returns
    -------
    tuple of str
        UIDs: explicit and implicit VR little endian, explicit VR big endian, deflated; then the compressed ones.
    """
    candidates = (*UNCOMPRESSED, DEFLATED_LE, *COMPRESSED)
    return tuple(uid for uid in candidates if _decodes(uid))


def _decodes(uid: str) -> bool:
    import pydicom
    from pydicom.pixels import pixel_array

    try:
        read = pydicom.dcmread(BytesIO(_part10(uid)))
        image = pixel_array(read)
    except (RuntimeError, ValueError, NotImplementedError, ImportError, OSError):
        return False  # pydicom has no plug-in for it, or the plug-in fails.
    error = np.abs(image.astype(np.int64) - _sample_image()).max()
    return bool(error <= (_LOSSY_TOLERANCE if uid in LOSSY else 0))


def _sample_image() -> np.ndarray:
    """Return the image that all samples show, (32, 32) of int64."""
    y, x = np.mgrid[0:32, 0:32]
    return 1000 + 40 * x + 24 * y + (x * y) % 5


def _part10(uid: str) -> bytes:
    """Return a file of the sample image in the transfer syntax `uid`."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    sample = Dataset()
    sample.file_meta = FileMetaDataset()
    sample.file_meta.TransferSyntaxUID = uid
    sample.file_meta.MediaStorageSOPClassUID = sample.SOPClassUID = CT_IMAGE
    sample.file_meta.MediaStorageSOPInstanceUID = sample.SOPInstanceUID = "2.25.1"
    sample.Rows = sample.Columns = 32
    sample.SamplesPerPixel = 1
    sample.PhotometricInterpretation = "MONOCHROME2"
    sample.BitsAllocated = sample.BitsStored = 16
    sample.HighBit = 15
    sample.PixelRepresentation = 0
    if uid in COMPRESSED:
        sample.PixelData = encapsulate([base64.b64decode(_samples()[uid])])
        sample["PixelData"].VR = "OB"
    else:
        sample.PixelData = _sample_image().astype(">u2" if uid == EXPLICIT_BE else "<u2").tobytes()
        sample["PixelData"].VR = "OW"
    stream = BytesIO()
    sample.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@cache
def _samples() -> dict[str, str]:
    """Return one encoded frame, in base64, for each compressed transfer syntax."""
    text = importlib.resources.files("ichnode.dicom").joinpath("samples.json").read_text(encoding="ascii")
    samples: dict[str, str] = json.loads(text)
    return samples
