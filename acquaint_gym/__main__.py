"""The command `acquaint`: every `python -m` command of the project under one name.

acquaint run --agent random prior bayes
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from acquaint_gym.envs.names import closest

COMMANDS = {
    "run": ("eval.run", "score agents with hidden people, against the exact teacher"),
    "compare": ("eval.compare", "set two runs side by side, paired over people"),
    "show": ("eval.show", "show one conversation of a run, turn by turn, beside the teacher"),
    "sweep": ("eval.sweep", "score agents over a grid of settings"),
    "stress": ("eval.stress", "score agents with difficult people"),
    "belief": ("eval.belief", "compare what agents say they believe with how they act"),
    "questions": ("eval.questions", "show which questions interviewers choose"),
    "bench": ("eval.bench", "measure speed"),
    "check": ("envs.check", "run the contract on an environment of one's own"),
    "check-agent": ("agents.check", "run the contract on an agent of one's own"),
    "weights": ("agents.weights", "fetch a language model's weights by name"),
    "collect": ("train.collect", "record conversations with the teacher beside every turn"),
    "distill": ("train.distill", "train a LoRA adapter on the teacher's distributions"),
    "sft": ("train.sft", "fine-tune on replies, with TRL"),
    "dpo": ("train.dpo", "fine-tune on preferences, with TRL"),
    "gru": ("train.gru", "train a small network on traces"),
    "rl": ("train.rl", "train a policy with Stable-Baselines3"),
    "plan-interviews": ("train.plan_interviews", "plan interviews with hindsight"),
    "micro": ("train.micro", "build the embedded model from nothing"),
    "rl-bench": ("train.rl_bench", "measure the speed of reinforcement learning"),
    "distill-bench": ("train.distill_bench", "measure the speed and memory of distillation"),
    "fit-items": ("train.fit_items", "fit item parameters to respondents"),
    "fit-population": ("train.fit_population", "fit a finite population to respondents"),
    "fit-raters": ("train.fit_raters", "fit the width of a kernel over recorded raters"),
}
"""Word -> the module that holds its `main`, and one line of help. The word is the module's last
name, with hyphens; `check` alone is of environments."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code, 2 for an unknown one."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(overview())  # noqa: T201 - the help text is the output
        return 0 if given else 2
    if given[0] not in COMMANDS:
        message = f"acquaint: unknown command {closest(given[0], COMMANDS)}"
        print(message, file=sys.stderr)  # noqa: T201 - before any console is made
        return 2
    if arguments is None:
        sys.argv = [f"acquaint {given[0]}", *given[1:]]  # what help and reports call the command
    # Agents and tasks of one's own lie in the present folder; last, so that nothing installed is
    # shadowed by what else lies there.
    sys.path.append(os.getcwd())
    module, _ = COMMANDS[given[0]]
    code: int = import_module(f"acquaint_gym.{module}").main(given[1:])
    return code


def overview() -> str:
    """All commands, a line each."""
    lines = [f"  {word:<16} {about} (python -m {name})" for word, (name, about) in COMMANDS.items()]
    return "\n".join(
        ["usage: acquaint COMMAND ...", "", *lines, "", "More: acquaint COMMAND --help"]
    )


if __name__ == "__main__":
    sys.exit(main())
