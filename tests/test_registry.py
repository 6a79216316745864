"""Agents by name: files, settings, messages, and the wall between agents and people."""

from __future__ import annotations

import inspect
import shlex
from importlib import import_module
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import gymnasium as gym
import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose
from registered import at_hand

from acquaint_gym.agents.baselines import RandomAgent
from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.interviewers.base import Interviewer
from acquaint_gym.agents.registry import CONFIGS, AgentSpec, agent_names, parse_agent
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.episodes import Episodes
from acquaint_gym.envs.gym_env import UserEnv, UserVectorEnv
from acquaint_gym.envs.names import parse_settings, resolve
from acquaint_gym.envs.registration import make_task, task_keys
from acquaint_gym.envs.respondents import Respondents
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.questionnaire import Questionnaire
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.people import Users
from acquaint_gym.eval.oracles.hindsight import Hindsight
from acquaint_gym.eval.run import parser
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan

ENV = "acquaint/Questionnaire-v0"
# A task that every shipped agent can play: its options have features.
FOR_ALL = "acquaint/FlightChoice-v0"


def where(name: str) -> str:
    """An environment that an agent can be had on."""
    asks = issubclass(resolve(parse_agent(name, []).target, "Agent"), (Interviewer, Hindsight))
    return "acquaint/Interview-v0" if asks else FOR_ALL


TARGET = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
KEYS = list(inspect.signature(Questionnaire).parameters)


def build(text: str, **environment) -> Agent:
    """An agent by name, on a questionnaire with the environment's arguments."""
    return parse_agent(text, KEYS).build(lambda **kw: make_task(TARGET, **kw), environment)


# The files.


def test_the_names_are_the_files():
    files = sorted(path.stem for path in Path(str(CONFIGS)).glob("*.yaml"))
    assert agent_names() == files
    # Without this line a registry that finds nothing would pass every test over its names.
    assert {"random", "prior", "bayes", "bayes-map", "bayes-discounted", "clairvoyant"} <= {*files}


@pytest.mark.parametrize("name", agent_names())
def test_every_file_names_an_agent_that_can_be_imported_and_its_own_arguments(name):
    settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text("utf-8"))
    module, _, attribute = settings.pop("agent").partition(":")
    found = getattr(import_module(module), attribute)
    assert issubclass(found, Agent)
    assert not inspect.isabstract(found)
    spec = parse_agent(name, KEYS)
    assert spec == AgentSpec(name, f"{module}:{attribute}", settings, {})
    assert set(settings) <= set(inspect.signature(found).parameters)


@pytest.mark.parametrize("name", agent_names())
def test_every_file_begins_with_a_command_that_uses_it(name):
    first = (CONFIGS / f"{name}.yaml").read_text("utf-8").splitlines()[0]
    assert first.startswith("# python -m eval.run ")
    options = parser().parse_args(shlex.split(first)[4:])
    assert name in [text.partition(":")[0] for text in options.agent]
    for env_id in options.env:
        assert task_keys(env_id)


def test_no_two_agents_are_the_same():
    specs = [parse_agent(name, KEYS) for name in agent_names()]
    assert len({repr((s.target, s.arguments)) for s in specs}) == len(specs)


# Messages.


def refused(text: str, **common) -> str:
    """The one line that says why an agent is refused."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the callers look at the message
        parse_agent(text, KEYS, common)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_an_unknown_agent_is_refused_with_the_nearest_and_all_names():
    message = refused("bayess")
    assert "'bayess'" in message
    assert "Did you mean 'bayes'?" in message
    for name in agent_names():
        assert name in message


def test_a_name_like_no_other_gets_no_suggestion():
    message = refused("zzzzzzzz")
    assert "Did you mean" not in message
    assert "Available: " in message


def test_an_unknown_key_is_refused_with_the_nearest_and_all_keys():
    message = refused("bayes:discont=0.5")
    assert "Did you mean 'discount'?" in message
    for key in ("discount", "point", *KEYS):
        assert key in message
    assert "Did you mean 'parameters'?" in refused("bayes:parameter=human")


@pytest.mark.parametrize("text", ["bayes:discount", "bayes:=3", "bayes:discount=1,point"])
def test_a_setting_without_key_or_value_is_refused(text):
    assert "Expected key=value" in refused(text)


def test_a_missing_file_is_refused_by_path():
    assert refused("no/such.yaml") == "no/such.yaml: no such agent file."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected `agent: module:Class`"),
        ("- agent\n", "expected `agent: module:Class`"),
        ("discount: 0.5\n", "expected `agent: module:Class`"),
        (
            "agent: acquaint_gym.agents.teacher:BayesTeacher\ndiscont: 0.5\n",
            "Did you mean 'discount'?",
        ),
        ("agent: [\n", "own.yaml"),  # no YAML at all
        ("agent: acquaint_gym.agents.nowhere:BayesTeacher\n", "agents.nowhere"),
        ("agent: acquaint_gym.agents.teacher:BayesTeachr\n", "BayesTeachr"),
        ("agent: 5\n", "expected `agent: module:Class`"),
    ],
)
def test_a_broken_file_is_refused_by_path_and_reason(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text, "utf-8")
    found = refused(str(path))
    assert message in found
    assert str(path) in found


# Classes as `module:Class`.


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "Task '': expected module:Class, e.g. my_package.my_module:MyClass."),
        ("json", "Task 'json': expected module:Class"),
        ("json:", "Task 'json:': expected module:Class"),
        (":dumps", "Task ':dumps': expected module:Class"),
        (".json:dumps", "Task '.json:dumps': expected module:Class"),
        ("nowhere:Task", "cannot be loaded: No module named 'nowhere'. A module of one's own must"),
        ("json:dump5", "cannot be loaded: json has no 'dump5'. Did you mean 'dump'? Available: "),
        ("lopsided:Task", "cannot be loaded: invalid syntax (lopsided.py, line 2)"),
    ],
)
def test_a_class_that_is_not_there_is_refused_in_one_line(tmp_path, monkeypatch, target, message):
    (tmp_path / "lopsided.py").write_text("\nclass\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"^Task ") as error:
        resolve(target, "Task")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_is_found_by_its_module_and_name():
    assert resolve("acquaint_gym.envs.tasks.questionnaire:Questionnaire", "Task") is Questionnaire


# Settings.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # YAML 1.1 reads this as a word
        ("1.5E3", 1500.0),
        ("-2", -2),
        ("0.25", 0.25),
        ("7", 7),
        ("true", True),
        ("False", False),
        ("null", None),
        ("human", "human"),
        ("[1, 2]", [1, 2]),
        ("'3'", "3"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_what_they_look_like(text, value):
    (found,) = parse_settings([f"key={text}"]).values()
    assert found == value
    assert type(found) is type(value)


def test_later_settings_win_and_spaces_do_not_count():
    assert parse_settings([" a = 1", "b=2", "a=3 "]) == {"a": 3, "b": 2}


def test_inline_settings_go_to_the_agent_or_else_to_its_task():
    text = "bayes:discount=1e-4,point=true,parameters=human,levels=7"
    spec = parse_agent(text, KEYS)
    assert spec.label == text
    assert spec.target == "acquaint_gym.agents.teacher:BayesTeacher"
    assert spec.arguments == {"discount": 1e-4, "point": True}
    assert spec.task_arguments == {"parameters": "human", "levels": 7}


def test_settings_for_all_agents_go_to_those_that_know_them():
    common = {"discount": 0.5, "parameters": "human"}
    assert parse_agent("bayes", KEYS, common).arguments == {"discount": 0.5}
    assert parse_agent("random", KEYS, common).arguments == {}
    # Every agent has a task.
    assert parse_agent("random", KEYS, common).task_arguments == {"parameters": "human"}


def test_settings_win_over_the_file_and_inline_ones_over_those_for_all():
    assert parse_agent("bayes-discounted", KEYS).arguments == {"discount": 0.9}
    assert parse_agent("bayes-discounted", KEYS, {"discount": 0.5}).arguments == {"discount": 0.5}
    inline = parse_agent("bayes-discounted:discount=0.7", KEYS, {"discount": 0.5})
    assert inline.arguments == {"discount": 0.7}


def test_an_own_file_is_an_agent_and_takes_settings_too(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("agent: acquaint_gym.agents.teacher:BayesTeacher\ndiscount: 0.8\n", "utf-8")
    spec = parse_agent(f"{path}:point=true", KEYS)
    assert spec.arguments == {"discount": 0.8, "point": True}
    assert spec.label == f"{path}:point=true"


def test_an_own_class_needs_no_change_here(tmp_path, monkeypatch):
    (tmp_path / "my_agents.py").write_text(
        "from acquaint_gym.agents.baselines import RandomAgent\n"
        "class Stubborn(RandomAgent):\n"
        "    def __init__(self, task, patience=3):\n"
        "        super().__init__(task)\n"
        "        self.patience = patience\n",
        "utf-8",
    )
    path = tmp_path / "stubborn.yaml"
    path.write_text("agent: my_agents:Stubborn\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    agent = build(f"{path}:patience=5")
    assert isinstance(agent, RandomAgent)
    assert agent.patience == 5


# What is built.


def test_an_agent_believes_in_the_environments_task_except_where_told_otherwise():
    agent = build("bayes:parameters=human", num_turns=7, levels=3)
    task = agent.task
    assert isinstance(task, Questionnaire)
    assert (task.num_turns, task.population.num_levels) == (7, 3)
    expected = Questionnaire(parameters="human", levels=3).model.table
    assert_allclose(task.model.table, expected, rtol=0, atol=0)
    plain = build("bayes", num_turns=7, levels=3)
    assert np.abs(plain.task.model.table - expected).max() > 0.05
    # Told so, it disagrees with what the environment was given.
    assert build("bayes:levels=7", levels=3).task.population.num_levels == 7


def test_the_reference_teacher_is_never_touched_by_settings_for_agents():
    people = People("test", 0, None)
    (job,) = plan(ENV, ["bayes"], people, {"agent.discount": 0.5, "levels": 3})
    assert job.agent.arguments == {"discount": 0.5}
    assert job.teacher.arguments == {}
    agent, teacher = job.agents()
    assert agent is not teacher
    assert teacher.task.population.num_levels == 3


def test_a_teacher_that_is_its_own_reference_is_built_once():
    (job,) = plan(ENV, ["bayes"], People("test", 0, None), {})
    agent, teacher = job.agents()
    assert agent is teacher


# The wall.

BEHIND_THE_WALL = (
    Users, Simulator, Respondents, Episodes, PersonStreams, UserEnv, UserVectorEnv, gym.Env,
    gym.vector.VectorEnv, Evaluation, People,
)  # fmt: skip
FORBIDDEN_NAMES = {"suite_seed", "respondents", "person", "users", "source"}


def reachable(root: object) -> list[tuple[str, object]]:
    """Everything an object can get hold of: attributes, items, what functions close over."""
    found, seen, waiting = [], set(), [("agent", root)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, ModuleType | type | str | bytes | int | float):
            continue
        seen.add(id(thing))
        found.append((path, thing))
        if isinstance(thing, dict):
            waiting += [(f"{path}[{key!r}]", value) for key, value in thing.items()]
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting += [(f"{path}[{n}]", value) for n, value in enumerate(thing)]
        elif isinstance(thing, FunctionType):
            cells = thing.__closure__ or ()
            waiting += [(f"{path} closure", cell.cell_contents) for cell in cells]
        elif isinstance(thing, MethodType):
            waiting += [(f"{path}.__self__", thing.__self__)]
        attributes = dict(getattr(thing, "__dict__", {}))
        for cls in type(thing).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(thing, slot):
                    attributes[slot] = getattr(thing, slot)
        waiting += [(f"{path}.{name}", value) for name, value in attributes.items()]
    return found


def leaks(agent: object) -> list[str]:
    """Paths from an agent to people."""
    paths = []
    for path, thing in reachable(agent):
        if isinstance(thing, BEHIND_THE_WALL):
            paths.append(path)
        names = {*getattr(thing, "__dict__", {}), *(thing if isinstance(thing, dict) else ())}
        words = {name for name in names if isinstance(name, str)}
        paths += [f"{path}: {name}" for name in words & FORBIDDEN_NAMES]
    return paths


@pytest.mark.parametrize("name", at_hand())
def test_no_person_can_be_reached_from_an_agent_as_built(name):
    (job,) = plan(where(name), [name], People("test", 12345, None), {})
    env, (agent, teacher) = job.environment(3), job.agents()
    env.reset(seed=0)
    assert leaks(agent) == []
    assert leaks(teacher) == []
    # The seed 12345 itself, by whatever name, is not there either.
    numbers = [v for _, thing in reachable(agent) for v in vars_of(thing) if v == 12345]
    assert numbers == []


def vars_of(thing: object) -> list[object]:
    """The plain numbers that an object holds."""
    values = thing.values() if isinstance(thing, dict) else getattr(thing, "__dict__", {}).values()
    return [value for value in values if isinstance(value, int)]


@pytest.mark.parametrize("name", ["random", "prior", "bayes", "bayes-map", "bayes-discounted"])
def test_no_person_can_be_reached_from_an_agent_that_has_played(name):
    (job,) = plan(ENV, [name], People("test", 12345, None), {})
    env, (agent, _) = job.environment(3), job.agents()
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        decision = agent.act(Transcript(observation), np.zeros(3))
        observation, *_ = env.step(decision.action)
    assert leaks(agent) == []


@pytest.mark.parametrize("hidden_in", ["attribute", "list", "closure", "slot", "method"])
def test_the_search_for_leaks_finds_them(hidden_in):
    (job,) = plan(ENV, ["bayes"], People("test", 0, None), {})
    env, (agent, _) = job.environment(3), job.agents()
    env.reset(seed=0)
    users = env.users

    class Slotted:
        __slots__ = ("hidden",)

    if hidden_in == "attribute":
        agent.task.extra = users
    elif hidden_in == "list":
        agent.extra = [{"a": (env,)}]
    elif hidden_in == "closure":
        agent.extra = lambda: users
    elif hidden_in == "method":
        agent.extra = env.step
    else:
        agent.extra = Slotted()
        agent.extra.hidden = users
    assert leaks(agent)


def test_who_sees_the_truth_has_a_door_and_it_is_the_evaluators():
    people = People("test", 0, None)
    jobs = [job for name in at_hand() for job in plan(where(name), [name], people, {})]
    classes = {job.agent.label: type(job.agents()[0]) for job in jobs}
    doors = {n: c for n, c in classes.items() if c.observe_truth is not Agent.observe_truth}
    assert list(doors) == ["clairvoyant", "hindsight"]
    for oracle in doors.values():
        assert oracle.__module__.startswith("acquaint_gym.eval.oracles.")


def test_the_built_agents_are_what_the_files_say():
    assert isinstance(build("bayes"), BayesTeacher)
    assert isinstance(build("random"), RandomAgent)


def test_a_zip_is_told_the_two_lines_that_it_needs():
    with pytest.raises(ValueError, match=r"SB3Agent' and 'path: mine\.zip'"):
        parse_agent("mine.zip", [])
