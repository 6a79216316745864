"""A model's chat template, or one in its place, with arguments and a clock that stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, meta

from acquaint_gym.envs.files import digest
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.prompt import CLOCK

# What a template may raise beside its own errors: it is code, e.g. `'x' + none`.
_FAILS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class ChatTemplate:
    """How messages become one text.

    Some templates print today's date, which they ask of `strftime_now`. A score must not depend on
    the day, nor an adapter be another one tomorrow: for them it is always `envs.prompt.CLOCK`.

    Args:
        tokenizer: of `transformers`.
        name: of the model, for error messages.
        template: path of a Jinja file, or the template itself, in place of the tokenizer's own.
        arguments: for the template, by name, e.g. `enable_thinking: false`.

    Attributes:
        text: the template.
        arguments: as given.

    Raises:
        ValueError: no template, no such file, or an argument that the template never reads.
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str,
        template: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        from acquaint_gym.agents.llm.tokenizer import compile_template  # heavy, but loaded by now

        if template is None and not tokenizer.chat_template:
            raise ValueError(
                f"{name} has no chat template; choose an instruction-tuned model, or give "
                "`template`, the path of a Jinja file."
            )
        self.text: str = tokenizer.get_chat_template(None if template is None else _read(template))
        self.arguments = dict(arguments or {})
        self._special, self._name = tokenizer.special_tokens_map, name
        try:
            environment = compile_template(self.text).environment
            names = meta.find_undeclared_variables(environment.parse(self.text))
        except TemplateError as error:
            raise ValueError(f"The chat template of {name} is no Jinja: {error}.") from error
        self._variables = names - {*environment.globals, "messages"} | {"add_generation_prompt"}
        for key in self.arguments:
            if key not in self._variables:
                raise ValueError(
                    f"template_arguments: the chat template of {name} reads no "
                    f"{closest(key, sorted(self._variables))}"
                )

    def render(self, chat: Sequence[Mapping[str, Any]]) -> str:
        """The text, up to where the next reply is due.

        Args:
            chat: messages with `role` and `content`.

        Raises:
            ValueError: the template fails.
        """
        from acquaint_gym.agents.llm.tokenizer import compile_template

        variables = {
            **self._special,
            "tools": None,
            "documents": None,
            "date_string": CLOCK.strftime("%d %b %Y"),
            "add_generation_prompt": True,
            **self.arguments,
            "strftime_now": CLOCK.strftime,
        }
        try:
            # Compiled once for all; to keep it here would forbid to pickle the agent.
            text: str = compile_template(self.text).render(messages=list(chat), **variables)
        except _FAILS as error:
            raise ValueError(f"The chat template of {self._name} fails: {error}.") from error
        return text

    def others(self) -> list[dict[str, Any]]:
        """Arguments to try where these do not do: fewest first, each with those given.

        All that a template says of thoughts is switched off and on; in the end there is no
        generation prompt, so that a reply begins as the template shows it in history.
        """
        switches = sorted(name for name in self._variables if "think" in name)
        choices = [
            {name: value for name, value in zip(switches, values, strict=True) if value is not None}
            for values in product((None, False, True), repeat=len(switches))
        ]
        tries = [*sorted(choices, key=len)[1:], {"add_generation_prompt": False}]
        return [self.arguments | choice for choice in tries]

    def identity(self) -> dict[str, Any]:
        """What decides the texts beside the messages: for `adapter.json`."""
        return {
            "template": digest([self.text.encode()]),
            "arguments": self.arguments,
            "clock": CLOCK.isoformat(),
        }


def _read(template: str) -> str:
    """The template of a file; one that is written out as it is."""
    if "{{" in template or "{%" in template:
        return template
    try:
        return Path(template).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"template {template!r}: cannot be read ({error}); expected the path of a Jinja file, "
            "or a template."
        ) from error
