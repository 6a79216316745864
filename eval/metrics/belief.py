"""How far an agent's beliefs are from the exact teacher's after the same conversations."""

from __future__ import annotations

from itertools import islice

import numpy as np
from scipy.special import rel_entr

from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.base import Metric
from acquaint_gym.eval.runs.replay import evaluation_of, reference, replay
from acquaint_gym.eval.runs.store import Run


def divergence(run: Run) -> Metric:
    """Divergence of the run's beliefs from the teacher's: KL(teacher || agent), mean over traits.

    Infinite, and so left out, where the agent rules out a level that the teacher does not.
    """
    # Rounded like the beliefs in a trace, so that what is 0 there is 0 here.
    taught = teacher_beliefs(run).astype(run.trace.belief.dtype).astype(np.float64)
    after = run.trace.belief[:, 1:].astype(np.float64)
    cells = rel_entr(taught, after).sum(axis=-1).mean(axis=-1, keepdims=True)
    return Metric("belief_kl", "nats", "lower", lambda _: cells, after_last_answer=True)


def teacher_beliefs(run: Run) -> Floats:
    """`[N, T, F, L]` what the reference teacher believes after each turn; any beyond `length`.

    The conversations take place again: the agent's actions are those of the trace.

    Args:
        run: of people with known levels, simulated or of another source, not recorded ones.

    Raises:
        ValueError: the environment's task cannot be had again, or people answer otherwise by now.
    """
    evaluation = evaluation_of(run.config)
    teacher, beliefs = reference(evaluation), []
    for observation in islice(replay(run, evaluation), 1, None):
        belief = teacher.believe(observation)
        assert belief is not None  # whose levels are known has traits to believe in
        beliefs.append(belief)
    return np.stack(beliefs, axis=1)
