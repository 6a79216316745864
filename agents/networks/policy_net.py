"""A trained policy as arrays: a few linear layers, behind a long short-term memory or not.

Written out in NumPy and float64: nothing has to be unpickled, no deep-learning package is needed to
act, and a person's decision does not depend on who else is in the batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

WEIGHTS, CARD = "policy.safetensors", "policy.json"
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}
State = tuple[Floats, Floats]


class PolicyNet:
    """Scores of actions from what a view shows.

    Args:
        weights: `layer0.weight` `[out, in]`, `layer0.bias`, `layer1.weight`, ...; and with a memory
            `memory.weight_ih` `[4 M, D]`, `memory.weight_hh`, `memory.bias_ih`, `memory.bias_hh`
            with the gates in PyTorch's order.
        activation: between the layers, `tanh` or `relu`.
    """

    def __init__(self, weights: Mapping[str, Floats], activation: str) -> None:
        self._weights = {name: part.astype(np.float64) for name, part in weights.items()}
        self._activation = ACTIVATIONS[activation]
        self.remembers = "memory.weight_ih" in weights

    def start(self, batch: int) -> State:
        """What is remembered before the first turn: nothing, `[B, M]` twice."""
        size = self._weights["memory.weight_hh"].shape[1]
        return np.zeros((batch, size)), np.zeros((batch, size))

    def remember(self, numbers: Floats, state: State) -> State:
        """What is remembered after `[B, D]` of another turn (Hochreiter & Schmidhuber, 1997)."""
        weights, (hidden, cell) = self._weights, state
        gates = numbers @ weights["memory.weight_ih"].T + weights["memory.bias_ih"]
        gates += hidden @ weights["memory.weight_hh"].T + weights["memory.bias_hh"]
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget_gate) * cell + _sigmoid(input_gate) * np.tanh(candidate)
        return _sigmoid(output_gate) * np.tanh(cell), cell

    def scores(self, numbers: Floats) -> Floats:
        """`[B, A]` logits or values of `[B, D]`, or of what is remembered."""
        for layer in count():
            weight, bias = (self._weights[f"layer{layer}.{part}"] for part in ("weight", "bias"))
            numbers = numbers @ weight.T + bias
            if f"layer{layer + 1}.weight" not in self._weights:
                return numbers
            numbers = self._activation(numbers)
        raise AssertionError("a network has a last layer")


def action_probs(scores: Floats, legal: npt.NDArray[np.bool_], greedy: float | None) -> Floats:
    """`[B, A]` how probable a policy's actions are.

    Args:
        scores: `[B, A]` logits, or values of actions.
        legal: `[B, A]` what may be done; at least one action a row.
        greedy: None for logits. For values of actions how often the best is taken (`1 - epsilon`);
            otherwise it is any legal action, each as often as another.
    """
    scores = np.where(legal, scores, -np.inf)
    if greedy is None:
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    else:
        highest = np.arange(scores.shape[1]) == best(scores)[:, None]
        free = legal / legal.sum(axis=1, keepdims=True)
        probs = greedy * highest + (1 - greedy) * free
    return probs / probs.sum(axis=1, keepdims=True)


def replay(
    observation: Transcript, task: UserTask, step: Callable[[Transcript, Any], Any], state: Any
) -> Floats:
    """`[B, ...]` what somebody with a memory reads at each person's present turn.

    Args:
        observation: transcripts, at whatever turns.
        task: whose transcripts they are.
        step: takes the transcripts of one turn after the other, and what is remembered; returns
            `[B, ...]` and what is remembered then.
        state: what is remembered before the first turn.
    """
    turn = observation.turn
    kept, state = step(observation.at(0 * turn, task), state)
    for then in range(1, int(turn.max()) + 1):
        now, state = step(observation.at(np.minimum(then, turn), task), state)
        kept = np.where((turn == then)[:, None], now, kept)
    return kept


def _sigmoid(x: Floats) -> Floats:
    return 0.5 + 0.5 * np.tanh(x / 2)  # never overflows


def task_shape(task: UserTask) -> dict[str, Any]:
    """What a policy's first and last layers rely on, as JSON."""
    return {
        "actions": list(task.actions),
        "items": None if task.bank is None else list(task.bank.item_ids),
        "turns": task.num_turns,
        "stimulus_high": np.asarray(task.stimulus_high, dtype=float).tolist(),
        "accepts": task.binary_feedback,
        "asks": task.agent_asks,
        "traits": list(task.population.factors),
        "levels": task.population.num_levels,
        "context": str(task.context or "none"),
    }


def read_policy(
    folder: Path, task: UserTask, made_by: str
) -> tuple[dict[str, Any], dict[str, Floats]]:
    """The card and the weights of a policy that `train.rl` trained on such a task.

    Raises:
        ValueError: there is none, or it was trained on a task of another shape; one line.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise ValueError(f"There is no policy in '{folder}' yet; make it with: {made_by}")
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: pip install -e '.[rl]'") from error
    expected = task_shape(task)
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text("utf-8"))
        where = f"{card['env']}{''.join(f' {k}={v}' for k, v in card['settings'].items())}"
        shape = {part: card["task"][part] for part in expected}
        known = {key: card[key] for key in ("view", "activation", "greedy")}
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{folder}: no policy of train.rl ({error!r}); train again.") from error
    for part, here in expected.items():
        if here != shape[part]:
            raise ValueError(
                f"{folder}: trained on {where}, whose {part} are {_short(shape[part])}; here they "
                f"are {_short(here)}. Train a policy for this task, or leave it out here."
            )
    return known, weights


def _short(value: object) -> str:
    text = f"{len(value)}: {value}" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
