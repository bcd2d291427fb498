"""The check of a number of bits."""


def checked_bits(bits: int) -> int:
    """Return a number of bits as int.

    Raises:
        ValueError: it is not a whole number from 1 to 24.
    """
    if bits != int(bits) or not 1 <= bits <= 24:
        raise ValueError(f"Expected a whole number of bits from 1 to 24. Received: bits={bits}")
    return int(bits)
