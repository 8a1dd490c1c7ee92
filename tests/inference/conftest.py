"""What the tests of the engine share."""

from tests.bundles import SMALL_PICTURE, TINY, card

__all__ = ["SMALL_PICTURE", "TINY", "card"]
