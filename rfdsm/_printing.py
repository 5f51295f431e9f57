"""How results show themselves."""

import equinox as eqx


class Printed(eqx.Module):
    """A pytree that prints its values, where equinox prints their shapes; long arrays are abbreviated as by NumPy."""

    def __repr__(self) -> str:
        return eqx.tree_pformat(self, short_arrays=False)
