"""`--list`: everything there is by name, with a line on each."""

from __future__ import annotations

import pytest
from registered import ids

from acquaint_gym.agents.registry import agent_keys, agent_names, parse_agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import task_keys
from acquaint_gym.envs.users.quirks import Quirks
from acquaint_gym.eval.report import listing
from acquaint_gym.eval.report.listing import describe_arguments, first_sentence
from acquaint_gym.eval.run import main


def test_everything_is_there_in_a_terminal_of_100_columns(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--list"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    first_words = {line.split()[0] for line in lines if line.strip()}
    names = {word for line in lines if line and not line.startswith(" ") for word in line.split()}
    assert {*agent_names(), *ids()} <= names
    arguments = {key for env_id in ids() for key in task_keys(env_id)}
    arguments |= {key for name in agent_names() for key in agent_keys(parse_agent(name, []))}
    assert arguments | set(vars(Quirks())) <= first_words
    assert any(line.split()[:4] == ["num_turns", "int", "=", "10"] for line in lines)


def test_every_argument_has_a_sentence(monkeypatch):
    arguments: list[listing.Line] = []
    ours = {env_id: listing.environments()[env_id] for env_id in ids()}  # not those of other tests
    monkeypatch.setattr(listing, "environments", lambda: ours)
    monkeypatch.setattr(listing, "_table", lambda lines: arguments.extend(lines) or "")
    listing.list_everything()
    assert len(arguments) > 100
    assert [name for name, _, sentence in arguments if not sentence.strip("- ")] == []
    assert [name for name, _, sentence in arguments if sentence.startswith("see ")] == []


def test_packages_that_were_imported_before_are_listed(capsys):
    with pytest.raises(SystemExit):
        main(["--import", "no_such_package", "--list"])
    assert "Package 'no_such_package' cannot be imported" in capsys.readouterr().err


def test_sentences_of_docstrings():
    class Thing:
        """Does it, e.g. so. And more.

        Args:
            one, two: of both. Not this.
            three: over
                two lines; all of it.
            posterior: see `envs.core.UserTask.configure`.

        Raises:
            ValueError: never.
        """

    assert first_sentence(Thing) == "Does it, e.g. so."
    assert describe_arguments(Thing) == {
        "one": "of both.",
        "two": "of both.",
        "three": "over two lines; all of it.",
        "posterior": "see `envs.core.UserTask.configure`.",
    }
    assert describe_arguments(UserTask.configure)["labels"].startswith(
        "what a reply is in the prompt"
    )
