"""The page of published chat templates: `make docs` writes it anew from the installed TRL.

Every template that TRL publishes is given a short conversation. Where it is refused, the refusal
must name arguments with which it plays, and those are tried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kit import ROOT
from tiny_llm import tokenizer
from tokenizers import pre_tokenizers

from acquaint_gym.agents.llm.dialogue import Dialogue

PAGE = ROOT / "docs" / "templates.md"
HEAD = "| template | `template_arguments` | before a reply | system turn | contents | date |"


class Row(NamedTuple):
    """What there is to say of a template.

    Attributes:
        needs: arguments with which it plays, none if it does by itself.
        opens: what history has between generation prompt and reply.
        system: whether it has a system turn.
        parts: whether contents are lists of parts.
        dated: whether it asks what day it is.
    """

    needs: Mapping[str, Any]
    opens: str
    system: bool
    parts: bool
    dated: bool


@cache
def templates() -> dict[str, str]:
    """Name -> text of all chat templates in TRL but for its variants for training."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "chat_templates").glob("*.jinja"))
    return {
        file.stem: file.read_text("utf-8") for file in files if not file.stem.endswith("_training")
    }


@cache
def words() -> Any:
    """A tokenizer that sets digits and what begins with `<` apart, as those of the models do."""
    made = deepcopy(tokenizer())
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split("<", "isolated"),
            made.backend_tokenizer.pre_tokenizer,
        ]
    )
    made.add_special_tokens({"bos_token": "<|begin|>", "eos_token": "<|end|>"})
    return made


@cache
def arguments_of(name: str) -> str:
    """The arguments that a template needs, as its refusal names them; `{}` if it plays."""
    try:
        Dialogue(words(), name, templates()[name])
    except ValueError as error:
        [arguments] = re.findall(r"Set template_arguments: (\{.*\}), or `template`", str(error))
        return str(arguments)
    return "{}"


@cache
def dialogue(name: str) -> Dialogue:
    """A template at work, with the arguments it needs; one that does not play at all raises."""
    return Dialogue(words(), name, templates()[name], yaml.safe_load(arguments_of(name)))


def row(name: str) -> Row:
    """A row of the table."""
    text, arguments, d = templates()[name], yaml.safe_load(arguments_of(name)), dialogue(name)
    dated = "strftime_now" in text or "date_string" in text
    return Row(arguments, d.before_reply, d.has_system, d.in_parts, dated)


def page(old: str) -> str:
    """The page, with the words on top of the old one."""
    lines = [HEAD, "| --- | --- | --- | --- | --- | --- |"]
    for name in templates():
        r = row(name)
        needs = f"`{arguments_of(name)}`" if r.needs else "none"
        opens = f"`{r.opens!r}`".replace("|", "\\|") if r.opens else "nothing"
        system, parts = "yes" if r.system else "joined", "parts" if r.parts else "text"
        lines.append(
            f"| {name} | {needs} | {opens} | {system} | {parts} | {'yes' if r.dated else 'no'} |"
        )
    return old.partition(HEAD)[0] + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
