"""How students do with development people while they learn, in the environments' own loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import import_package, task_class
from acquaint_gym.eval.metrics.prediction import PREDICTION_METRICS
from acquaint_gym.eval.runs.evaluation import Evaluation, People, Player, plan
from acquaint_gym.eval.trace import Trace
from acquaint_gym.train.sources import TraceSource

REPORTED = (
    "accuracy",
    "teacher_agreement",
    "predictive_entropy",
    "nll",
    "kl_from_teacher",
    "belief_correlation",
)


class DevEvaluator:
    """Meets the same people of one environment again and again, with one student after the other.

    Args:
        evaluation: environment and people; its agent and teacher stand beside the students.
        person: `[N]` the people's numbers.

    Attributes:
        teacher: the evaluation's own.
        task: the environment's.

    Raises:
        ValueError: an environment, people or a teacher that are not here.
    """

    def __init__(self, evaluation: Evaluation, person: npt.NDArray[np.int64]) -> None:
        self._player, self._person = Player(evaluation), person
        self.task: UserTask = self._player.environment(len(person)).task
        self.teacher: Agent = self._player.agents[1]

    def play(self, student: Agent, teacher: Agent | None = None) -> Trace:
        """One episode with each of the people.

        Args:
            student: the agent that is scored.
            teacher: recorded beside it; by default the evaluation's own.
        """
        return self._player.play(self._person, student, teacher)

    def metrics(self, student: Agent) -> dict[str, float]:
        """Metrics of a student by name, see `summary`."""
        return summary(self.play(student))


def dev_evaluator(
    source: TraceSource, people: People, person: npt.NDArray[np.int64]
) -> DevEvaluator:
    """An evaluator in the environment of these traces, with its exact teacher.

    Args:
        source: the traces.
        people: whom to meet there.
        person: `[N]` their numbers.

    Raises:
        ValueError: an environment or people that are not here.
    """
    config, env_id = source.run.config, source.run.env
    import_package(config["env_spec"]["task"].partition(":")[0])
    [evaluation] = plan(env_id, [task_class(env_id).teacher], people, config["env_settings"])
    return DevEvaluator(evaluation, person)


def summary(trace: Trace) -> dict[str, float]:
    """Means over people of the metrics that tell how training goes; what is unknown is left out."""
    means = {}
    for name in REPORTED:
        metric = PREDICTION_METRICS[name]
        if not metric.applies(trace.agent_asks):
            continue
        statistics = metric.statistics(trace)
        known = statistics[np.isfinite(statistics).all(axis=1)]
        if len(known):
            mean = known.mean(axis=0)
            value = mean[0] if metric.combine is None else metric.combine(mean)
            if np.isfinite(value):
                means[name] = float(value)
    return means
