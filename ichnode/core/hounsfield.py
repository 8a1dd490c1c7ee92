"""Stored pixel values to Hounsfield units: the arithmetic alone, without files.

==============================================  ====================================================================
what the header and the values say              what is done
==============================================  ====================================================================
slope and intercept given                       value times slope plus intercept (PS3.3 C.11.1.1.2)
slope missing or 0                              1 is taken; ``MISSING_RESCALE``
intercept missing, signed values                0 is taken; ``MISSING_RESCALE``
intercept missing, unsigned values              -1024 is taken, the usual offset; ``MISSING_RESCALE``
any of them missing, and then no air            refused (`NotHounsfieldError`): the values cannot be trusted to be HU
unsigned, 12 bits, intercept over -100 or       the values are 12-bit two's complement written as unsigned: -1024 to
missing, and 1 % of values at 3072 or more      -1 came out as 3072 to 4095. Put back; ``WRAP_12BIT_REPAIRED``
all given, and no air in the slice              kept; ``HU_IMPLAUSIBLE``
MONOCHROME1                                     nothing: it is for display, after the rescale (PS3.3 C.7.6.3.1.2).
MONOCHROME1, border of the image dense, and     the writer inverted the values as well: turned back;
like air when inverted                          ``MONOCHROME1_INVERTED``
padding value (PS3.3 C.7.5.1.1.2)               -1024
padding value that is -200 to 300 HU            ignored, it would punch holes into tissue; ``PADDING_IGNORED``
anything below -1024, above 3071                clamped
==============================================  ====================================================================

Air is 1 % of values below -500 HU: there is some around every head, and padding counts as air.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import Warned
from ichnode.core.reasons import because
from ichnode.core.slices import Slice

AIR_HU = -1024
"""Lowest value that leaves this module; padding becomes this."""
DENSEST_HU = 3071
"""Highest value that leaves this module: the top of the usual 12-bit range, past the densest bone."""
Decoded: TypeAlias = tuple[NDArray[np.int16], tuple[Warned, ...]]
"""Frames in Hounsfield units, and warnings."""
Decode: TypeAlias = Callable[[Path, Sequence[int], str], Decoded]
"""Reads frames of a file: from it, their numbers and its transfer syntax to Hounsfield units and warnings."""
_WRAPPED_FROM, _WRAP = 3072, 4096
_TISSUE_HU = (-200, 300)
_SEEN_SHARE = 0.01


class NotHounsfieldError(ValueError):
    """The stored values of a slice cannot be turned into Hounsfield units."""


def to_hounsfield(stored: NDArray[np.integer[Any]], one: Slice) -> tuple[NDArray[np.int16], tuple[Warned, ...]]:
    """Turn the stored values of one slice into Hounsfield units by the table at the top of this file.

    Parameters
    ----------
    stored : array of shape (rows, columns)
        Values as stored, signed if Pixel Representation says so.
    one : Slice
        Its header facts.

    Returns
    -------
    hounsfield : array of shape (rows, columns), int16, -1024 to 3071
    warnings : tuple of Warned

    Raises
    ------
    NotHounsfieldError
        If the rescale is missing and what is assumed for it yields no air.
    """
    values = stored.astype(np.int32)
    warnings: list[Warned] = []
    padding = _padding(values, one)
    signed = bool(one.pixel_representation)
    slope = one.rescale_slope or 1.0
    intercept = one.rescale_intercept
    missing = not one.rescale_slope or intercept is None
    if _is_wrapped(values, padding, one):
        values = np.where(values >= _WRAPPED_FROM, values - _WRAP, values)
        signed, intercept, missing = True, 0.0, False
        warnings.append(because("WRAP_12BIT_REPAIRED"))
    elif intercept is None:
        intercept = 0.0 if signed else float(AIR_HU)
    hu = _rescaled(values, slope, intercept)
    if one.photometric == "MONOCHROME1" and _border(hu) > 500:
        highest = -1 if signed else 2 ** (one.bits_stored or 12) - 1
        inverted = _rescaled(highest - values, slope, intercept)
        if _border(inverted) < -500:
            hu = inverted
            warnings.append(because("MONOCHROME1_INVERTED"))
    if padding is not None and padding.any():
        if _TISSUE_HU[0] < float(np.median(hu[padding])) < _TISSUE_HU[1]:
            warnings.append(because("PADDING_IGNORED"))
        else:
            hu[padding] = AIR_HU
    has_air = np.count_nonzero(hu < -500) >= _SEEN_SHARE * hu.size
    if missing:
        if not has_air:
            raise NotHounsfieldError("the rescale is missing and no air is found without it")
        warnings.append(because("MISSING_RESCALE"))
    elif not has_air:
        warnings.append(because("HU_IMPLAUSIBLE"))
    np.clip(hu, AIR_HU, DENSEST_HU, out=hu)
    return (np.rint(hu) if hu.dtype.kind == "f" else hu).astype(np.int16), tuple(warnings)


def _rescaled(values: NDArray[np.int32], slope: float, intercept: float) -> NDArray[Any]:
    if slope == 1 and intercept.is_integer() and abs(intercept) < 2**20:
        return values + np.int32(intercept)  # nearly always, and five times as fast
    return values * slope + intercept


def _padding(values: NDArray[np.int32], one: Slice) -> NDArray[np.bool_] | None:
    if one.pixel_padding is None:
        return None
    limit = one.pixel_padding if one.pixel_padding_range_limit is None else one.pixel_padding_range_limit
    low, high = sorted((one.pixel_padding, limit))
    return (values >= low) & (values <= high)


def _is_wrapped(values: NDArray[np.int32], padding: NDArray[np.bool_] | None, one: Slice) -> bool:
    if one.pixel_representation or one.bits_stored != 12 or (one.rescale_slope or 1.0) != 1.0:
        return False
    if one.rescale_intercept is not None and one.rescale_intercept <= -100:
        return False
    high = (values >= _WRAPPED_FROM) & (values < _WRAP)
    if padding is not None:
        high &= ~padding
    return int(np.count_nonzero(high)) >= _SEEN_SHARE * values.size


def _border(hu: NDArray[Any]) -> float:
    return float(np.median(np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]])))
