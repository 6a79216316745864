"""In which forms an environment shows its observations to libraries that train policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from acquaint_gym.agents.networks.features import BeliefFeatures, TurnFeatures
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.episodes import observation_space
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript


class Form(NamedTuple):
    """One way to show a transcript.

    Attributes:
        space: of what is shown, for one person.
        show: transcripts of B people in this form, arrays with a batch axis.
    """

    space: spaces.Space[Any]
    show: Callable[[Transcript], Any]


def forms_of(task: UserTask) -> dict[str, Form]:
    """Every form, by name.

    `transcript` and `turn` are the observations of `gym.make`, dicts of arrays; `transcript-flat`
    and `turn-flat` the same behind Gymnasium's `FlattenObservation`; `view-turn` and `view-belief`
    what `train.rl` shows, see `agents.networks.features`, the latter where people have traits.
    """
    shows: dict[str, Callable[[Transcript], dict[str, Any]]] = {
        "transcript": dict,
        "turn": Transcript.latest,
    }
    forms = {}
    for name, show in shows.items():
        space = observation_space(task, name)
        forms[name] = Form(space, show)
        forms[f"{name}-flat"] = Form(spaces.flatten_space(space), _flat(space, show))
    views = {"view-turn": TurnFeatures}
    if task.population.grid is not None:
        views["view-belief"] = BeliefFeatures
    for name, view in views.items():
        features = view(task)
        forms[name] = Form(features.space, features.observe)
    return forms


def _flat(
    space: spaces.Dict, show: Callable[[Transcript], dict[str, Any]]
) -> Callable[[Transcript], Any]:
    """All parts side by side, in the order of the space, as Gymnasium flattens it."""

    def join(observation: Transcript) -> Any:
        parts = show(observation)
        return np.concatenate([parts[key] for key in space.spaces], axis=1)

    return join


def form_read_by(space: spaces.Space[Any], task: UserTask, name: str | None, whose: str) -> Form:
    """The form in which a policy that reads `space` was shown its observations.

    Args:
        space: the policy's observation space.
        task: whose transcripts it is to read now.
        name: the form's name; None to find it by its space.
        whose: what holds the policy, for messages.

    Raises:
        ValueError: no form of this task has that space, or several have and none is named; one
            line that says which argument to set.
    """
    forms = forms_of(task)
    if name is not None and name not in forms:
        raise ValueError(f"{whose}: unknown observation {closest(name, forms)}")
    candidates = forms if name is None else {name: forms[name]}
    fitting = [key for key, form in candidates.items() if form.space == space]
    if len(fitting) > 1:
        raise ValueError(
            f"{whose}: {' and '.join(fitting)} are observations of the same size here; say which "
            f"one it was trained on, e.g. observation: {fitting[0]}."
        )
    if not fitting:
        here = "; ".join(f"{key} {_size(form.space)}" for key, form in candidates.items())
        raise ValueError(
            f"{whose}: reads {_size(space)}, which is no observation here ({here}). "
            f"{_difference(space, task)}"
        )
    return forms[fitting[0]]


def _size(space: spaces.Space[Any]) -> str:
    """How many numbers a space has, by part."""
    if isinstance(space, spaces.Dict):
        return ", ".join(f"{key} {_size(part)}" for key, part in space.spaces.items())
    return str(list(space.shape or ()))


def _difference(space: spaces.Space[Any], task: UserTask) -> str:
    """What most probably differs from the environment of the training, as a way on.

    `turn` is the last part of every observation of `gym.make`, and its bound is `num_turns`.
    """
    high = getattr(spaces.flatten_space(space), "high", np.zeros(1))
    turns = float(high[-1]) if high.size else np.inf
    if np.isfinite(turns) and turns != task.num_turns:
        return (
            f"It was trained on conversations of {turns:g} turns, here are {task.num_turns}: "
            f"--set num_turns={turns:g}."
        )
    known = isinstance(space, spaces.Dict) and "context" in space.spaces
    if isinstance(space, spaces.Dict) and known != (task.context is not None):
        return (
            "It was trained with a context: set `context` as it was there."
            if known
            else "It was trained without a context: --set context=none."
        )
    return (
        "Give the environment the id and the arguments of the training (--env, --set), and train "
        "on what gym.make or FlattenObservation shows, behind no other wrapper."
    )
