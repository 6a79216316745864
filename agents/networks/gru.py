"""A small recurrent network as an agent: what an amortised student without language is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acquaint_gym.agents.core import Agent, Decision, decide
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.transcripts import PrefixCache
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

MEMORIES = ("gru", "sum")


class NetworkAgent(Agent):
    """Guesses by networks whose memory is carried on from turn to turn.

    Args:
        task: of the kind that the networks were made for.
        networks: an `agents.networks.recurrent.Ensemble`, in evaluation.
    """

    def __init__(self, task: UserTask, networks: Any) -> None:
        super().__init__(task)
        self._networks = networks
        self._cache = PrefixCache()

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`: the networks' distribution, and its most probable answer."""
        probs = self._networks.guess(self._memory(observation), observation.present_stimulus)
        return decide(self.task.legal(observation), probs)

    def _memory(self, observation: Transcript) -> Any:
        """`[M, B, W]` what the networks keep of these transcripts."""
        from acquaint_gym.agents.networks.recurrent import events

        turn = observation.turn
        past, nothing = events(observation, self._networks.form), turn[:, None][:, :0]
        since, state = self._cache.take(turn, [past], nothing)
        if state is None:
            state = self._networks.start(len(turn))
        last = int(turn.max(initial=0))
        state = self._networks.remember(past[:, since:last], turn - since, state)
        self._cache.keep(turn, [past], nothing, state)
        return state


class GruAgent(NetworkAgent):
    """The networks that `train.gru` left in a folder.

    Args:
        task: see `NetworkAgent`.
        path: the folder.
        made_by: the command that makes it, for the message where it is missing.

    Raises:
        ValueError: no networks there, or such as read or say something else than the task.
    """

    def __init__(self, task: UserTask, path: str, made_by: str = "python -m train.gru") -> None:
        if not Path(path).is_dir():
            raise ValueError(f"There are no networks {path!r} yet; make it with: {made_by}")
        try:
            from acquaint_gym.agents.networks.recurrent import load
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}: pip install -e '.[llm]'") from error
        super().__init__(task, load(Path(path), task))
