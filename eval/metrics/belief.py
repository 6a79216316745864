"""How far an agent's beliefs are from the exact teacher's after the same conversations."""

from __future__ import annotations

from functools import partial

import numpy as np
from gymnasium.vector import AutoresetMode
from scipy.special import rel_entr

from acquaint_gym.agents.registry import AgentSpec
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.base import Metric
from acquaint_gym.eval.rollout import to_env
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
    config, trace = run.config, run.trace
    given = {**config["env_spec"], **config["env_settings"]}
    people = {key: config["people"][key] for key in ("split", "suite_seed")}
    people["people"] = (config["people"]["data"] or {}).get("people")  # None for the simulator
    mode = AutoresetMode.DISABLED
    env = UserVectorEnv(len(trace.person), autoreset_mode=mode, **people, **given)
    teacher = AgentSpec(**config["teacher_spec"]).build(
        partial(make_task, given.pop("task")), given
    )
    env.reset(options={"person": trace.person})
    beliefs = []
    for turn in range(trace.answers.shape[1]):
        actions = to_env(env.task, trace.actions[:, turn], trace.action_probs[:, turn])
        observation = Transcript(env.step(actions)[0])
        belief = teacher.believe(observation)
        assert belief is not None  # whose levels are known has traits to believe in
        beliefs.append(belief)
    answers = observation["answers"] if env.task.agent_asks else env.users.answers
    if not np.array_equal(answers[trace.happened], trace.answers[trace.happened]):
        raise ValueError(
            f"{run.agent} on {run.env}: people answer otherwise than when the traces were made; "
            "run eval.run --fresh with this version of the environment."
        )
    return np.stack(beliefs, axis=1)
