"""``phantom``: a synthetic head CT with known truth, as a DICOM series with its truth beside it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ichnode.core.findings import CLASSES
from ichnode.errors import PermanentError

from ..lesions import SUBTYPES
from ..mimics import MIMICS
from ..phantom import make_head
from ..phantom_dicom import TAG_VARIANTS, write_dicom

if TYPE_CHECKING:
    from ..phantom import Phantom

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless, "jpeg-ls": JPEGLSLossless, "jpeg-2000": JPEG2000Lossless,
}  # fmt: skip


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("out", type=Path, help="folder, new or empty: series/, truth.json, masks.npz")
    command.add_argument("--seed", type=int, default=0, help="decides head, bleeds and noise (%(default)s)")
    blood = command.add_mutually_exclusive_group()
    blood.add_argument("--lesion", action="append", type=_lesion, metavar="KIND[=ML[@HU]]",
                       help=f"a bleed, may be repeated: {', '.join(SUBTYPES)}; "
                       "drawn from measured ones where mL or HU are left out; default: the seed decides")  # fmt: skip
    blood.add_argument("--no-lesion", action="store_true", help="a head without blood")
    command.add_argument("--mimic", action="append", choices=MIMICS, help="no fresh blood, may be repeated; "
                         "default: the seed decides")  # fmt: skip
    command.add_argument("--slices", type=_positive, default=32, help="(%(default)s)")
    command.add_argument("--thickness", type=_millimetres, default=5.0, metavar="MM", help="(%(default)s)")
    command.add_argument("--spacing", type=_millimetres, metavar="MM", help="between slices; default: the thickness")
    command.add_argument("--matrix", type=_positive, default=512, help="pixels along each side (%(default)s)")
    command.add_argument("--tilt", type=float, default=0.0, metavar="DEGREES", help="of the gantry (%(default)s)")
    command.add_argument("--kernel", choices=("soft", "bone"), default="soft", help="(%(default)s)")
    command.add_argument("--noise", type=float, metavar="HU", help="at 5 mm; default: 3 to 5, by the seed")
    command.add_argument(
        "--tags", choices=TAG_VARIANTS, default="12-bit", help="how the values are stored (%(default)s)"
    )
    command.add_argument("--syntax", choices=SYNTAXES, default="explicit", help="transfer syntax (%(default)s)")


def run(given: argparse.Namespace) -> int:
    """Make the head and write it."""
    if given.out.exists() and (not given.out.is_dir() or any(given.out.iterdir())):
        raise PermanentError(f"{given.out} is there already: choose a folder that is new or empty.")
    asked = {name: (volume, hu) for name, volume, hu in given.lesion or ()}
    phantom = make_head(
        given.seed,
        tuple(asked) if asked else () if given.no_lesion else None,
        slices=given.slices, thickness_mm=given.thickness, spacing_mm=given.spacing, matrix=given.matrix,
        tilt_deg=given.tilt, kernel=given.kernel, noise_hu=given.noise, mimics=given.mimic,
        volumes_ml={name: volume for name, (volume, _) in asked.items() if volume is not None},
        densities_hu={name: hu for name, (_, hu) in asked.items() if hu is not None},
    )  # fmt: skip
    files = write_dicom(
        phantom, given.out / "series", transfer_syntax=SYNTAXES[given.syntax], **TAG_VARIANTS[given.tags]
    )
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files]
    (given.out / "truth.json").write_text(json.dumps(truth(phantom, uids), indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(given.out / "masks.npz", **phantom.masks)  # type: ignore[arg-type]
    made = [f"{name} {volume:.1f} mL" for name, volume in phantom.volumes_ml.items()]
    what = ", ".join(made) or "no haemorrhage"
    sys.stdout.write(f"{given.out}: {len(files)} slices, {what}. A phantom is not a patient.\n")
    return 0


def truth(phantom: Phantom, uids: list[str]) -> dict[str, Any]:
    """Return what is known of a phantom in plain values; `uids` are its slices' SOP Instance UIDs in order."""
    return {
        "use": "a phantom, not a patient; research use only",
        "seed": phantom.seed,
        "lesions": [
            {"subtype": one.subtype, "volume_ml": round(phantom.volumes_ml[one.subtype], 3), "hu": round(one.hu, 1)}
            for one in phantom.lesions
        ],
        "mimics": sorted(phantom.traits.mimics),
        "slices": [
            {"sop_instance_uid": uid, **dict(zip(CLASSES, map(int, row), strict=True))}
            for uid, row in zip(uids, phantom.labels, strict=True)
        ],
    }


def _lesion(text: str) -> tuple[str, float | None, float | None]:
    name, _, amount = text.partition("=")
    volume, _, hu = amount.partition("@")
    if name not in SUBTYPES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SUBTYPES)}")
    try:
        found = (name, float(volume) if volume else None, float(hu) if hu else None)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form subdural=30 or subdural=30@55") from None
    if found[1] is not None and not 0 < found[1] <= 200:
        raise argparse.ArgumentTypeError("a volume is over 0 and at most 200 mL")
    if found[2] is not None and not 0 <= found[2] <= 100:
        raise argparse.ArgumentTypeError("the density of blood lies between 0 and 100 HU")
    return found


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _millimetres(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("over 0 and at most 100 mm")
    return value
