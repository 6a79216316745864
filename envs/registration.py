"""Tasks by name: how they are registered with Gymnasium, found again, and built from arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from acquaint_gym.envs.core import Context, UserTask
from acquaint_gym.envs.episodes import Episodes
from acquaint_gym.envs.names import check_types, closest, resolve
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.task_form import check_class, check_form
from acquaint_gym.envs.users.people import UserSource

_ENTRY = "acquaint_gym.envs.gym_env:UserEnv"
# Arguments of an environment that are not its task's.
_NOT_OF_THE_TASK = (
    *("split", "suite_seed", "respondents", "people"),
    *("observation", "render_mode", "teacher_info"),
)
# Words for what every personality task can begin with; any registered environment will do as well.
_CONTEXTS = {
    "answers": "acquaint_gym.envs.tasks.questionnaire:Questionnaire",
    "traits": "acquaint_gym.envs.tasks.stated_traits:StatedTraits",
}


def task_arguments(target: str) -> list[str]:
    """Names of the arguments of a task `module:Class`: its constructor's, and every task's.

    Raises:
        ValueError: no such class.
    """
    own = inspect.signature(_task_class(target)).parameters
    return [*own, *list(inspect.signature(UserTask.configure).parameters)[1:]]


def _task_class(target: str) -> type[UserTask]:
    task_class: type[UserTask] = resolve(target, "Task")
    return task_class


def make_task(target: str, **arguments: Any) -> UserTask:
    """Builds a task from `module:Class`, its constructor's arguments and those of every task.

    Raises:
        ValueError: an argument that the task does not take, whose message names those it takes, or
            a task that lacks a method or an attribute.
    """
    task_class, known = _task_class(target), task_arguments(target)
    for key in arguments:
        if key not in known:
            raise ValueError(f"{task_class.__name__} has no argument {closest(key, known)}")
    own = list(inspect.signature(task_class).parameters)
    common = {key: value for key, value in arguments.items() if key not in own}
    check_types(task_class.__name__, UserTask.configure, common)
    check_types(task_class.__name__, task_class, arguments)
    check_class(task_class)
    task = task_class(**{key: value for key, value in arguments.items() if key in own})
    check_form(task)
    task.configure(**common)
    return task


def register_task(env_id: str, task: str, **arguments: Any) -> None:
    """Registers a task as a Gymnasium environment and as a native vector environment.

    Args:
        env_id: `namespace/Name-vN`; raise N when a change can move a score.
        task: `module:Class` of a `UserTask`; a string, so that the spec stays JSON.
        **arguments: fixed arguments of the task, for several ids from one class.

    The same registration twice counts once: `python -m envs.check` in the checkout imports the
    package by its short name beside its own.
    """
    kwargs = {"task": task, **arguments}
    there = gym.registry.get(env_id)
    if there is not None and (there.entry_point, there.kwargs) == (_ENTRY, kwargs):
        return
    gym.register(
        id=env_id,
        entry_point=_ENTRY,
        vector_entry_point="acquaint_gym.envs.gym_env:UserVectorEnv",
        kwargs=kwargs,
    )


def make_episodes(
    num: int,
    task: str,
    split: str,
    suite_seed: int,
    respondents: str | None,
    people: str | None,
    observation: str,
    render_mode: str | None,
    teacher_info: bool,
    arguments: dict[str, Any],
) -> Episodes:
    """The conversations behind an environment, from the environment's arguments.

    Args:
        num: how many side by side.
        task: see `envs.gym_env.UserEnv`.
        split: see there, as the four that follow.
        suite_seed: a number.
        respondents: a file.
        people: `module:Class`.
        observation: a word.
        render_mode: a word, or None.
        teacher_info: whether the teacher is asked, too.
        arguments: of the task.

    Raises:
        ValueError: people from two places, or arguments that the task or the people refuse.
    """
    if respondents is not None and people is not None:
        raise ValueError(
            f"respondents={respondents!r} and people={people!r}: people come from one of the two; "
            "leave one out."
        )
    built = make_task(task, **arguments)
    source: UserSource
    if respondents is not None:
        from acquaint_gym.envs.respondents import Respondents  # most runs meet none

        source = Respondents(built, respondents, split, suite_seed)
    elif people is not None:
        from acquaint_gym.envs.users.outside import OutsideSource

        source = OutsideSource.make(people, built, split, suite_seed)
    else:
        source = Simulator(built, split, suite_seed)
    kind: type[Episodes] = resolve(built.episodes, "Episodes")
    kept = teacher_info or render_mode is not None
    episodes = kind(built, source, num, observation, keep_transcript=kept)
    if teacher_info:
        from acquaint_gym.envs.info import TeacherInfo  # few environments tell

        episodes.teacher = TeacherInfo(built)
    return episodes


def import_package(name: str) -> None:
    """Imports a researcher's package, which registers its environments.

    Raises:
        ValueError: it cannot be found.
    """
    try:
        import_module(name)
    except (ImportError, SyntaxError, TypeError) as error:  # a TypeError for a relative name
        raise ValueError(
            f"Package {name!r} cannot be imported: {error}. Is it installed, or in this folder?"
        ) from error


def environments() -> dict[str, EnvSpec]:
    """Specs of all registered `UserTask` environments by id."""
    return {key: spec for key, spec in gym.registry.items() if spec.entry_point == _ENTRY}


def environment_spec(env_id: str) -> EnvSpec:
    """The spec of a registered `UserTask` environment: `ID`, or `PACKAGE:ID` as for `gym.make`.

    Raises:
        ValueError: no such id; the message names the nearest. Or no such package, which is imported
            first and registers it.
    """
    package, _, env_id = env_id.rpartition(":")
    if package:
        import_package(package)
    known = environments()
    if env_id not in known:
        raise ValueError(f"Unknown environment {closest(env_id, known)}")
    return known[env_id]


def task_class(env_id: str) -> type[UserTask]:
    """The class of an environment's task.

    Raises:
        ValueError: no such id, or no such task.
    """
    return _task_class(environment_spec(env_id).kwargs["task"])


def task_keys(env_id: str) -> list[str]:
    """Names of the arguments that an environment's task takes.

    Raises:
        ValueError: no such id, or no such task.
    """
    return task_arguments(environment_spec(env_id).kwargs["task"])


def check_settings(env_id: str, keys: Iterable[str]) -> None:
    """Compares names that were typed after `--set` with the arguments of an environment's task.

    Raises:
        ValueError: no such id, no such task, or an argument that the task does not take; the
            message names the nearest.
    """
    known, fixed = task_keys(env_id), environment_spec(env_id).kwargs
    for key in keys:
        if key in fixed:
            raise ValueError(f"--set {key}: {env_id} is about {key}={fixed[key]}; take another id.")
        if key in _NOT_OF_THE_TASK:
            raise ValueError(
                f"--set {key}: not a setting of the task; --split, --seed, --data and --people "
                "choose the people, agents always observe transcripts."
            )
        if key not in known:
            raise ValueError(f"{env_id} has no argument {closest(key, known)}")


def make_context(text: str, receiver: UserTask, shared: dict[str, Any]) -> Context | None:
    """The context that an argument names.

    Args:
        text: `none`; `traits`, all stated trait levels; `answers:K`, the first K items of the
            questionnaire; or `ID:K`, the first K turns of a registered environment.
        receiver: the task that gets the context, its population known.
        shared: arguments that the other task takes from this one where it knows them.

    Raises:
        ValueError: another form, an unknown id, too many turns, other people, or the task itself.
    """
    if text == "none":
        return None
    source, turns = text, ""
    if ":" in text:
        source, _, turns = text.rpartition(":")
    spec = gym.registry.get(source)
    target = _CONTEXTS.get(source) or (spec.kwargs.get("task") if spec else None)
    if target is None or not re.fullmatch(r"[1-9][0-9]*" if source != "traits" else "", turns):
        raise ValueError(
            f"context={text!r}: expected none, traits, answers:K or ID:K, K turns of a registered "
            "environment."
        )
    fixed = {} if spec is None else {k: v for k, v in spec.kwargs.items() if k != "task"}
    known = task_arguments(target)
    if "feedback" in known:
        fixed["feedback"] = "choice"  # what is known beforehand is known in full
    task = make_task(target, **{k: v for k, v in shared.items() if k in known}, **fixed)
    people, others = receiver.population, task.population
    if (
        people.factors != others.factors
        or not np.array_equal(people.levels, others.levels)
        or not np.array_equal(people.prior, others.prior)
    ):
        raise ValueError(f"context={text!r}: that task is about other people than this one.")
    if task.stream == receiver.stream:
        raise ValueError(
            f"context={text!r}: that is this task itself; people would repeat answers."
        )
    return Context(task, int(turns or task.num_turns))
