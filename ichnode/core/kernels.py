"""Reconstruction kernels: soft tissue, bone, or not known, by vendor.

=================  =====================================  ==========================================================
vendor             soft tissue                            bone or lung
=================  =====================================  ==========================================================
Siemens            letter(s) and a sharpness of at most   sharpness of 55 and more: H60s, Hr59, J70h, B75f, U90u
                   54: H31s, J40s, Hr38, Qr40, B30f
GE                 SOFT, STANDARD (also STND, STD+)       BONE, BONEPLUS, EDGE, LUNG, ULTRA, CHST
Philips            A, B, C, UA, UB, UC                    D, E, L, and Y with any letter: YA, YB, YC
Canon, Toshiba     FC01 to FC28                           FC30 to FC39 (bone), FC50 to FC59 (lung), FC80 to FC89
any                words: SOFT, STANDARD, SMOOTH, BRAIN   words: BONE, SHARP, EDGE, LUNG, and their translations
=================  =====================================  ==========================================================

GE DETAIL lies between the two and, like any kernel not listed, counts as not known: read, but with a warning and after
a soft-tissue kernel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

from ichnode.core.slices import Slice


class Kernel(IntEnum):
    """Ordered by how well the network reads it."""

    BONE = 0
    UNKNOWN = 1
    SOFT = 2


_SIEMENS = re.compile(r"[A-Z][A-Z]?(\d\d)[A-Z]?")
_CANON = re.compile(r"FC(\d\d)")
_SIEMENS_SHARP = 55
_PHILIPS = {
    **dict.fromkeys(("A", "B", "C", "UA", "UB", "UC"), Kernel.SOFT),
    **dict.fromkeys(("D", "E", "L", "YA", "YB", "YC", "YD", "YE"), Kernel.BONE),
}
_BONE_WORDS = re.compile(
    r"BONE|SHARP|EDGE|LUNG|ULTRA|CHST|HRCT|KNOCHEN|OSSEU|\bOS\b|HUESO|OSEO|\bOSSO|OSSEO|\bBOT\b|OSTEO|FELSENB"
)
_SOFT_WORDS = re.compile(r"SOFT|STANDARD|STND|\bSTD|SMOOTH|BRAIN|WEICHTEIL|PARENCH|CEREB|TISSUE")


def kernel_of(one: Slice) -> Kernel:
    """Return the kind of kernel of one slice: by Convolution Kernel, and where that is empty by Series Description."""
    for name in one.kernel:
        kind = _by_name(name.upper(), (one.manufacturer or "").upper())
        if kind is not Kernel.UNKNOWN:
            return kind
    return Kernel.UNKNOWN if one.kernel else _by_words((one.series_description or "").upper())


def kernel_of_series(slices: Sequence[Slice]) -> Kernel:
    """Return the kind of kernel that most slices have; on a tie the less suitable."""
    kinds = [kernel_of(s) for s in slices]
    return max(Kernel, key=lambda kind: (kinds.count(kind), -kind))


def _by_name(name: str, manufacturer: str) -> Kernel:
    if "PHILIPS" in manufacturer and name in _PHILIPS:
        return _PHILIPS[name]
    canon = _CANON.match(name)
    if canon:
        number = int(canon[1])
        if 1 <= number <= 28:
            return Kernel.SOFT
        return Kernel.BONE if number // 10 in (3, 5, 8) else Kernel.UNKNOWN
    siemens = _SIEMENS.fullmatch(name)
    if siemens and ("SIEMENS" in manufacturer or not manufacturer):
        return Kernel.SOFT if int(siemens[1]) < _SIEMENS_SHARP else Kernel.BONE
    return _by_words(name)


def _by_words(text: str) -> Kernel:
    if _BONE_WORDS.search(text):
        return Kernel.BONE
    return Kernel.SOFT if _SOFT_WORDS.search(text) else Kernel.UNKNOWN
