"""Language models behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, hosted."""

from __future__ import annotations

import numpy as np

from acquaint_gym.agents.api.reply import by_opening, by_text
from acquaint_gym.agents.api.served import ServedAgent
from acquaint_gym.agents.baselines import sample
from acquaint_gym.agents.core import Decision, decide
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class ApiAgent(ServedAgent):
    """Decides by what a model answers to the task's prompt; arguments are `ServedAgent`'s.

    Where the server has log-probabilities, replies have those of the first token, see
    `agents.api.reply.by_opening`. Elsewhere, and where no reply is among the first tokens, the
    message itself must be a reply or its words, see `agents.api.reply.Labels.read`, and is a point:
    it has all the probability, and where the person answers otherwise the negative log-likelihood
    is infinite, which reports count as failed. Of several `samples` the frequencies count, after
    one more of each reply (Laplace). A message that is no legal reply is `unparsed`, a red number
    in reports; it lowers the answer mass, and where nothing else came the decision is even, and the
    action drawn.
    """

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        messages, legal = self._ask(observation), self.task.legal(observation)
        read = by_opening if self._model.gives_log_probs() else by_text
        pairs = zip(messages, legal, strict=True)
        readings = [read(sent, self._labels, allowed) for sent, allowed in pairs]
        weights, mass, unparsed = (np.array(part) for part in zip(*readings, strict=True))
        self._server.usage.add(decisions=len(readings), unparsed=int(unparsed.sum()))
        self._server.usage.save()
        decision = decide(legal, weights)
        nothing = unparsed == [len(sent) for sent in messages]
        drawn = sample(decision.action_probs, uniform)
        action = np.where(nothing, drawn, decision.action)
        return decision._replace(action=action, answer_mass=mass, unparsed=unparsed)
