"""Sets of variables that an optimizer treats specially, known by object and never by name."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf


class Exclusion:
    """Variables given as objects, or as positions in the list that the optimizer is built with.

    Objects are what a model has at hand. Positions are what a config can hold: they mean the same
    variables after the model is rebuilt. `bind` translates between the two.

    Variables are kept by key, not by reference, so that an optimizer that owns an Exclusion does
    not draw the model's variables into its checkpoints.

    Args:
      members: variables or positions. None leaves the choice to the model that the optimizer is
        given to, see `default_to`; without one, nothing is excluded.
    """

    def __init__(self, members: Iterable[tf.Variable | int] | None = ()) -> None:
        self._open = members is None
        self._keys: list[str] | None = None
        self._excluded: frozenset[str] | None = None
        self._positions: list[int] | None = None
        self._take(members or ())

    def default_to(self, members: Iterable[tf.Variable | int]) -> None:
        """Excludes these if no others were given."""
        if self._open:
            self._open = False
            self._take(members)

    def bind(self, variables: Iterable[tf.Variable]) -> None:
        """Settles the positions of all members among the variables of the optimizer.

        A member that is not among them, as a frozen one may be, is left out.

        Raises:
          ValueError: a position is beyond the end of `variables`.
        """
        self._keys = [_key(variable) for variable in variables]
        self._settle()

    def _take(self, members: Iterable[tf.Variable | int]) -> None:
        members = list(members)
        if any(isinstance(member, str) for member in members):
            raise TypeError("exclusions are variables or positions, not names")
        self._given_positions = frozenset(m for m in members if isinstance(m, int))
        self._given_keys = frozenset(_key(m) for m in members if not isinstance(m, int))
        if self._keys is not None:
            self._settle()

    def _settle(self) -> None:
        keys = self._keys or []
        if any(not 0 <= position < len(keys) for position in self._given_positions):
            raise ValueError(
                f"positions {sorted(self._given_positions)} do not fit {len(keys)} variables"
            )
        self._positions = [
            i for i, key in enumerate(keys) if i in self._given_positions or key in self._given_keys
        ]
        self._excluded = frozenset(keys[i] for i in self._positions)

    def __contains__(self, variable: tf.Variable) -> bool:
        """Whether a variable, or the distributed variable it is a replica's part of, is a member.

        Raises:
          RuntimeError: called before `bind`.
        """
        if self._excluded is None:
            raise RuntimeError("an Exclusion must be bound before it is asked about variables")
        return _key(variable) in self._excluded

    def positions(self) -> list[int] | None:
        """Returns the members' positions, ascending; None while the choice is open.

        Raises:
          ValueError: a member was given as an object and `bind` has not been called yet.
        """
        if self._open:
            return None
        if self._positions is not None:
            return list(self._positions)
        if self._given_keys:
            raise ValueError(
                "excluded variables have no positions yet: build the optimizer with the list of "
                "trainable variables before asking for its config"
            )
        return sorted(self._given_positions)


def _key(variable: tf.Variable) -> str:
    """Identifies a variable within this process, the same on every replica.

    An update sees the replica's component of a distributed variable; the model has the whole.
    """
    # The whole refuses to tell its handle outside a replica, and has nothing above it.
    if not isinstance(variable, tf.distribute.DistributedValues):
        for part in (variable, variable.handle):
            container = getattr(part, "_distributed_container", None)
            if container is not None:
                return container()._unique_id
    return variable._unique_id
