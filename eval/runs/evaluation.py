"""One agent on one environment: what `eval.run` plans, and any process can carry out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import AgentSpec, agent_keys, parse_agent
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.prompt import CLOCK
from acquaint_gym.envs.registration import (
    check_settings,
    environment_spec,
    import_package,
    make_task,
    task_class,
    task_keys,
)
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.runs.fingerprint import (
    modules_of,
    of_code,
    of_modules,
    of_respondents,
    of_settings,
)
from acquaint_gym.eval.runs.store import Store
from acquaint_gym.eval.trace import Meter, Trace


@dataclass(frozen=True)
class People:
    """Whom to meet: a split of the synthetic people, or of a file of respondents.

    Attributes:
        split: `train`, `dev` or `test`; of respondents `train`, `dev` or `all`.
        suite_seed: number of the world of people.
        data: path of the respondents' file, None for synthetic people.
        source: another source of people, `module:Class`, see `envs.users.people.UserSource`.
    """

    split: str
    suite_seed: int
    data: str | None
    source: str | None = None

    def identity(self) -> dict[str, Any]:
        """What tells these people from others, wherever the file lies."""
        known = {"split": self.split, "suite_seed": self.suite_seed}
        if self.source is not None:
            code = of_modules((self.source.partition(":")[0],))
            return {**known, "data": {"people": self.source, "code": code}}
        if self.data is None:
            return {**known, "data": None}
        return {**known, "data": of_respondents(self.data)}


@dataclass(frozen=True)
class Evaluation:
    """One agent on one environment with some people. Plain data, so that processes can pass it on.

    Attributes:
        env: id of a registered environment.
        settings: arguments of its task.
        agent: the agent.
        teacher: the reference, on the environment's own task.
        people: whom they meet.
        packages: modules to import first, which register environments.
    """

    env: str
    settings: Mapping[str, Any]
    agent: AgentSpec
    teacher: AgentSpec
    people: People
    packages: tuple[str, ...] = ()

    def config(self) -> dict[str, Any]:
        """All that decides the traces, as JSON: settings, people, code and files."""
        agent, task = self.agent.arguments, self.agent.task_arguments
        named = (self.agent.target, environment_spec(self.env).kwargs["task"])
        targets = [target.partition(":")[0] for target in named]
        values = [*self.settings.values(), *agent.values(), *task.values()]
        config = {
            "env": self.env,
            "env_spec": environment_spec(self.env).kwargs,
            "env_settings": dict(self.settings),
            "agent": self.agent.label,
            "agent_spec": asdict(self.agent),
            "teacher_spec": asdict(self.teacher),
            "people": self.people.identity(),
            "version": metadata.version("acquaint-gym"),
            "clock": CLOCK.isoformat(),  # what day it is in prompts that say so
            "code": of_code((*self.packages, *targets, *modules_of(values))),
            "files": of_settings(values),
        }
        return dict(json.loads(json.dumps(config, default=str)))

    def environment(self, num_envs: int) -> UserVectorEnv:
        """The environment, for `num_envs` people at a time; bad settings are a ValueError."""
        env = gym.make_vec(
            self.env,
            num_envs=num_envs,
            autoreset_mode=AutoresetMode.DISABLED,
            split=self.people.split,
            suite_seed=self.people.suite_seed,
            respondents=self.people.data,
            people=self.people.source,
            **self.settings,
        ).unwrapped
        assert isinstance(env, UserVectorEnv)
        return env

    def agents(self) -> tuple[Agent, Agent]:
        """Agent and teacher, one object where they are the same; bad settings are a ValueError."""
        fixed = dict(environment_spec(self.env).kwargs)
        task = partial(make_task, fixed.pop("task"))
        agent = self.agent.build(task, {**fixed, **self.settings})
        if self.agent.same_as(self.teacher):
            return agent, agent
        return agent, self.teacher.build(task, {**fixed, **self.settings})

    def num_users(self, users: int | None, default: int) -> int:
        """How many people to meet: as many as asked for, else everyone there is, else the default.

        Raises:
            ValueError: there are fewer.
        """
        most = self.environment(1).num_people
        if users is not None and most is not None and users > most:
            split = self.people.split
            raise ValueError(f"--users {users}: split {split!r} has {most} respondents.")
        return users or most or default

    def dry_run(self) -> None:
        """Plays one turn with the first person, so that what does not fit is found at once.

        Raises:
            ValueError: see `environment` and `agents`; or an agent that believes in a task with
                other actions, turns or stimuli than the environment's.
        """
        env, (agent, teacher) = self.environment(1), _player(self).agents
        believed, real = agent.task, env.task
        if (
            believed.actions != real.actions
            or believed.num_turns != real.num_turns
            or believed.binary_feedback != real.binary_feedback
            or not np.array_equal(believed.stimulus_high, real.stimulus_high)
        ):
            raise ValueError(
                f"Agent {self.agent.label!r} believes in a task of {believed.num_turns} turns and "
                f"{len(believed.actions)} actions about {believed.stimulus_high}, the environment "
                f"has {real.num_turns}, {len(real.actions)} and {real.stimulus_high}; or one of "
                "the two has feedback=accept and the other has not."
            )
        expected, given = (str(task.context or "nothing") for task in (believed, real))
        if believed.context is not None and expected != given:
            raise ValueError(
                f"Agent {self.agent.label!r} believes in a context of {expected}, the environment "
                f"tells {given}; give both the same, or the agent context=none."
            )
        observation = Transcript(env.reset(options={"person": 0})[0])
        agent.observe_truth(env.users, env.task)
        if agent.task is not believed and ":" in self.agent.label and self.agent.task_arguments:
            raise ValueError(
                f"Agent {self.agent.label!r} goes by the environment's own task; give it no task "
                "settings of its own."
            )
        for one in (agent, teacher):
            one.act(observation, np.zeros(1))

    def evaluate(self, out: Path, first: int, end: int) -> None:
        """Meets people `[first, end)` and writes their trace; in any process or thread."""
        for package in self.packages:
            import_package(package)
        with _playing:
            player = _player(self)
            trace, notes = player.meter.play(lambda: player.play(np.arange(first, end)))
        Store(out, self.config()).save(first, end, trace, notes)


class Player:
    """Lets agents meet the people of an evaluation, in as many batches as one likes.

    Environment and agents are kept from batch to batch: to make them takes longer than a batch.

    Args:
        evaluation: who meets whom, and where.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._env: UserVectorEnv | None = None

    @cached_property
    def agents(self) -> tuple[Agent, Agent]:
        """The agent and the teacher, see `Evaluation.agents`."""
        return self._evaluation.agents()

    @cached_property
    def meter(self) -> Meter:
        """Of the agent."""
        return Meter(self.agents[0])

    def environment(self, num_envs: int) -> UserVectorEnv:
        """See `Evaluation.environment`; kept for another batch of the same size."""
        if self._env is None or self._env.num_envs != num_envs:
            self._env = None  # first: two files of respondents at once may not fit into memory
            self._env = self._evaluation.environment(num_envs)
        return self._env

    def play(
        self,
        person: npt.NDArray[np.int64],
        agent: Agent | None = None,
        teacher: Agent | None = None,
    ) -> Trace:
        """One episode with each of N people; what a person does depends on the number alone.

        Args:
            person: `[N]` the people's numbers.
            agent: in place of the evaluation's own, e.g. a model that is being trained.
            teacher: in place of the evaluation's own.

        Raises:
            BrokenAgentError: a decision that breaks the agent's contract.
            ValueError: see `Evaluation.environment` and `Evaluation.agents`.
        """
        env = self.environment(len(person))
        agent, teacher = agent or self.agents[0], teacher or self.agents[1]
        streams = PersonStreams(self._evaluation.people.suite_seed, "agents", env.task.num_turns)
        return rollout(env, agent, teacher, person, streams.uniform(person))


_players: dict[str, Player] = {}  # of this process: one at most
_playing = Lock()  # threads take turns: they share the one player


def forget() -> None:
    """Lets go of environments and agents, so that other processes have room for theirs."""
    _players.clear()


def _player(evaluation: Evaluation) -> Player:
    """The player of an evaluation, kept until another evaluation's is asked for."""
    key = json.dumps([evaluation.config(), evaluation.people.data, evaluation.packages])
    if key not in _players:
        _players.clear()  # first: two models at once may not fit into memory
        _players[key] = Player(evaluation)
    return _players[key]


def plan(
    env_id: str,
    agents: list[str],
    people: People,
    settings: Mapping[str, Any],
    packages: tuple[str, ...] = (),
) -> list[Evaluation]:
    """The evaluations of some agents on one environment.

    Args:
        env_id: id of a registered environment, or `PACKAGE:ID`.
        agents: `NAME` or `NAME:key=value,...`.
        people: whom they meet.
        settings: of `--set`; keys that begin with `agent.` go to the agents, others to the task.
        packages: modules to import first.

    Raises:
        ValueError: an unknown name or key; one line, with the nearest name.
    """
    packages = (*packages, *filter(None, [env_id.rpartition(":")[0]]))
    keys = task_keys(env_id)
    common = {k.removeprefix("agent."): v for k, v in settings.items() if k.startswith("agent.")}
    own = {key: value for key, value in settings.items() if not key.startswith("agent.")}
    check_settings(env_id, own)
    specs = [parse_agent(text, keys, common) for text in agents]
    for key in common:
        if not any(key in {**spec.arguments, **spec.task_arguments} for spec in specs):
            own_keys = {k for spec in specs for k in agent_keys(spec)}
            raise ValueError(f"No agent here has an argument {closest(key, [*own_keys, *keys])}")
    teacher = parse_agent(task_class(env_id).teacher, keys)
    env_id = environment_spec(env_id).id
    return [Evaluation(env_id, own, spec, teacher, people, packages) for spec in specs]
