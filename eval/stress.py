"""What difficult people cost each agent: the same people, with a quirk and without it.

python -m eval.stress --agent bayes bayes:quirks=known prior --users 2000 --out runs/stress
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

from rich.console import Console

from acquaint_gym.agents.registry import agent_names
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import environments
from acquaint_gym.envs.users.quirks import NONE, Quirks
from acquaint_gym.eval.report.stress import Note, StressReport, print_report, rows_of, write_report
from acquaint_gym.eval.runs.command import (
    DEFAULT_USERS,
    add_options,
    add_people,
    check_options,
    in_own_folder,
    input_errors,
    run_command,
)
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.execution import PlannedRun, run_all
from acquaint_gym.eval.runs.provenance import provenance
from acquaint_gym.eval.trace import Trace

ENVIRONMENTS = ("acquaint/Questionnaire-v0", "acquaint/Flights-v0", "acquaint/FlightChoice-v0")
AGENTS = ("bayes", "bayes-discounted", "prior")


@dataclass(frozen=True)
class Strength:
    """A quirk at one strength.

    Attributes:
        quirk: a field of `envs.users.quirks.Quirks`.
        strength: its value.
        reason: why this strength.
    """

    quirk: str
    strength: float
    reason: str

    @property
    def text(self) -> str:
        """As the argument `quirks` of an environment has it."""
        return f"{self.quirk}:{self.strength:g}"


# Every quirk, mild and strong. Odds are those of an answer against its alternative, exp(strength).
STRENGTHS = (
    Strength("careless", 0.1, "one in ten, as 10-12 % of students are (Meade & Craig, 2012)"),
    Strength("careless", 0.3, "three times that"),
    Strength("acquiescence", 0.5, "odds 1.6 for the last category over the first"),
    Strength("acquiescence", 1.5, "odds 4.5"),
    Strength("extremity", 0.5, "odds 1.6 for an outer category over the middle"),
    Strength("extremity", 1.5, "odds 4.5"),
    Strength("skepticism", 0.1, "one right recommendation in ten is turned down"),
    Strength("skepticism", 0.3, "nearly one in three"),
    Strength("impatience", 0.05, "77 % stay for six turns, 8 % for fifty"),
    Strength("impatience", 0.2, "33 % stay for six turns, 1 % for twenty"),
    Strength("drift", 0.02, "one move of each trait in fifty turns"),
    Strength("drift", 0.1, "one move in ten turns"),
    Strength("incoherence", 0.05, "temperature 1.25 in the sixth turn, 3.5 in the fiftieth"),
    Strength("incoherence", 0.2, "temperature 2 in the sixth turn, 11 in the fiftieth"),
)


@dataclass(frozen=True)
class Case:
    """One agent on one environment, with the people's quirk, or None without."""

    run: PlannedRun
    strength: Strength | None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = ", ".join(field.name for field in fields(Quirks))
    cli = argparse.ArgumentParser(
        prog=program("eval.stress"),
        description="The stress table: each agent with people who have a quirk, and with the same "
        "people (same numbers, traits, questions and chance) who have not. The loss is how much "
        "worse an agent does with the quirk, positive is worse, with the paired 95 % interval over "
        "people; of accuracy, and of negative log-likelihood in nats. It is taken over the turns "
        "that took place in both: people who leave early are compared on the turns before they "
        "left, and the column `turns` says how many those are. Agents do not know of quirks, "
        "unless told: bayes:quirks=known is the exact teacher who does.",
        epilog=f"Quirks: {known}; see pydoc acquaint_gym.envs.users.quirks. Agents: "
        f"{', '.join(agent_names())}. Environments: {', '.join(environments())}. Traces lie in "
        "DIR/NAME=STRENGTH and DIR/none, each a folder as eval.run leaves it.",
    )
    cli.add_argument(
        "--agent",
        nargs="+",
        default=list(AGENTS),
        metavar="NAME[:key=value,...]",
        help=f"agents, as in eval.run ({' '.join(AGENTS)})",
    )
    cli.add_argument(
        "--env",
        nargs="+",
        default=list(ENVIRONMENTS),
        metavar="ID",
        help=f"environments ({' '.join(ENVIRONMENTS)})",
    )
    cli.add_argument(
        "--quirks",
        nargs="+",
        metavar="NAME:STRENGTH",
        help=f"instead of: {' '.join(strength.text for strength in STRENGTHS)}",
    )
    add_people(cli, "train, dev or test (the default)", str(DEFAULT_USERS), synthetic_only=True)
    cli.set_defaults(split="test", users=DEFAULT_USERS)
    add_options(cli, "runs/stress")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("eval.stress", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, console: Console) -> None:
    with input_errors():
        strengths = choose_quirks(options.quirks)
        cases, notes = in_own_folder(partial(prepare, strengths=strengths), options, console)
    users = options.users
    if not run_all([case.run for case in cases], users, options, console):
        return
    meta = provenance(command, options, users, [case.run for case in cases])
    meta["strengths"] = [asdict(strength) for strength in strengths]
    report = StressReport(meta, [], notes)
    plain: dict[tuple[str, str], Trace] = {}
    for case in cases:  # one trace at a time beside those without a quirk
        evaluation, trace = case.run.evaluation, case.run.trace(users)
        if case.strength is None:
            plain[evaluation.env, evaluation.agent.label] = trace
        key = {
            "env": evaluation.env,
            "quirk": case.strength.quirk if case.strength else NONE,
            "strength": case.strength.strength if case.strength else None,
            "agent": evaluation.agent.label,
        }
        without = plain[evaluation.env, evaluation.agent.label]
        report.rows.extend(key | row for row in rows_of(without, trace))
    write_report(report, Path(options.out))
    print_report(report, screen(), options.out)


def choose_quirks(texts: Sequence[str] | None) -> list[Strength]:
    """The quirks of the command line; the committed ones where it names none.

    Raises:
        ValueError: an unknown quirk, a strength out of range, several in one, or one named twice.
    """
    if texts is None:
        return list(STRENGTHS)
    strengths = []
    for text in texts:
        quirks = asdict(Quirks.parse(text))
        name, _, strength = text.partition(":")
        if name not in quirks or "+" in strength:
            raise ValueError(f"--quirks {text}: expected one NAME:STRENGTH, e.g. careless:0.2.")
        strengths.append(Strength(name, quirks[name], "chosen on the command line"))
    if len({strength.text for strength in strengths}) < len(strengths):
        raise ValueError(f"--quirks {' '.join(texts)}: each may be named once.")
    return strengths


def prepare(
    options: argparse.Namespace, strengths: Sequence[Strength]
) -> tuple[list[Case], list[Note]]:
    """Checks all of the input before anything is computed.

    Returns:
        What is to be done, in each environment first without a quirk; and what cannot be done
        because a quirk has no meaning there, with the reason.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    check_options(options)
    settings, people = parse_settings(options.settings), People(options.split, options.seed, None)
    if "quirks" in settings:
        raise ValueError("--set quirks: the quirks of a stress table are chosen with --quirks.")
    out, packages = Path(options.out), tuple(options.packages)
    cases, notes = [], []
    for env_id in options.env:
        for evaluation in plan(env_id, options.agent, people, settings, packages):
            cases.append(Case(PlannedRun(evaluation, out / NONE, options.fresh), None))
            cases[-1].run.dry_run(options.users)
        # What could be played without a quirk and cannot with it is refused for the quirk.
        for strength in strengths:
            with_quirk = {**settings, "quirks": strength.text}
            evaluations = plan(env_id, options.agent, people, with_quirk, packages)
            labels = [evaluation.agent.label for evaluation in evaluations]
            try:
                evaluations[0].environment(1)
            except ValueError as error:
                notes += [Note(env_id, strength.text, label, str(error)) for label in labels]
                continue
            for label, evaluation in zip(labels, evaluations, strict=True):
                folder = out / strength.text.replace(":", "=")
                run = PlannedRun(evaluation, folder, options.fresh)
                try:
                    run.dry_run(options.users)
                except ValueError as error:
                    notes.append(Note(env_id, strength.text, label, str(error)))
                else:
                    cases.append(Case(run, strength))
    return cases, notes


if __name__ == "__main__":
    sys.exit(main())
