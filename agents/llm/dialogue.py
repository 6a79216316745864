"""Conversations as token ids, which only ever grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, permutations
from typing import Any, NamedTuple

import yaml

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.agents.llm.limits import Limits
from acquaint_gym.agents.llm.template import ChatTemplate
from acquaint_gym.envs.prompt import without_system

# Pieces that are kept; a task that never repeats a question must not fill the memory.
_MOST = 2**14


class Encoded(NamedTuple):
    """A conversation as token ids.

    Attributes:
        ids: `[n]` tokens.
        answer_positions: index of the last token before each assistant's reply, and of the last
            token of all where a reply is due. What a model predicts there is its answer.
    """

    ids: list[int]
    answer_positions: list[int]


class Dialogue:
    """How one model's chat template and tokenizer write conversations.

    A conversation is cut before and after each reply. Pieces are tokenized by themselves and kept,
    so the ids of a conversation begin with those of its earlier turns, and writing it again costs
    next to nothing. Whether the pieces together are what template and tokenizer make of the whole
    is compared whenever a piece or a number of turns is new.

    A reply is due where the template places it in history. What it writes there after the
    generation prompt, e.g. `<|channel|>final<|message|>` or an empty thought, is written when the
    reply is due as well.

    Args:
        tokenizer: of `transformers`, with a chat template.
        name: of the model, for error messages.
        template, template_arguments: see `agents.llm.template.ChatTemplate`.
        limits: of the model; what does not fit is refused.

    Raises:
        ValueError: no chat template, or one that fails on a short conversation, see `encode`; it
            names the arguments with which the template would do, if there are any.

    Attributes:
        template: the chat template.
        limits: as given.
        has_system: whether it has a system turn.
        in_parts: whether contents are lists of parts, as for models that see.
        before_reply: what stands between its generation prompt and a reply, mostly nothing.
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str,
        template: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._tokenizer, self._name = tokenizer, name
        self.limits = limits or Limits()
        self.template = ChatTemplate(tokenizer, name, template, template_arguments)
        self._room = 0  # tokens of the longest reply but for its last one
        special = tokenizer.get_added_vocab()  # e.g. one of images, which no text has
        self._check_vocabulary([i for t, i in tokenizer.get_vocab().items() if t not in special])
        try:
            self._try()
        except RewritesError as error:
            raise ValueError(f"{error} {self._way_on()}") from error

    def _try(self) -> None:
        """Finds how the template takes messages, and writes a short conversation."""
        self._pieces: dict[tuple[str, ...], tuple[str, list[int]]] = {}
        self._lengths: set[int] = set()
        self.before_reply, system, user = "", "Reply with a number.", "One?"
        self.in_parts = False
        try:
            self.in_parts = user not in self._render((user,), [])
        except ValueError:
            # Templates of models that see expect a list of parts, and fail or leave text out.
            self.in_parts = True
            with suppress(ValueError):
                self.in_parts = user in self._render((user,), [])
        try:
            # A template without a system turn refuses it, or leaves it out without a word.
            self.has_system = system in self._render((system, user), [])
        except ValueError:
            self.has_system = False
        self.before_reply = self._opens_reply(user)
        roles = ("system", "user", "assistant", "user", "assistant", "user")
        texts = (system, user, "1", "Two?", "2", "End.")
        self.encode([{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)])

    def _opens_reply(self, user: str) -> str:
        """What history has between the generation prompt and a reply, nothing in most templates."""
        due, reply = self._render((user,), []), "Fifty-one"
        history = self._render((user,), [reply, user])
        at = history.find(reply)
        if not history.startswith(due) or at < len(due):
            raise self._rewrites(2, history[: at + len(reply)], due + reply)
        return history[len(due) : at]

    def _way_on(self) -> str:
        """What to do where a template rewrites history: arguments that were tried, or another."""
        for arguments in self.template.others():
            self.template.arguments = arguments
            with suppress(ValueError):
                self._try()
                words = yaml.safe_dump(arguments, default_flow_style=True).strip()
                return f"Set template_arguments: {words}, or `template`: one that only appends."
        return "Give `template`, the path of one that only appends; no argument of this one does."

    def encode(self, messages: Sequence[Mapping[str, str]]) -> Encoded:
        """A conversation that waits for a reply, or ends with one.

        Args:
            messages: perhaps a system turn, then user and assistant by turns. Where the template
                knows no system turn, its text opens the first user turn.

        Raises:
            ValueError: turns in another order, a template that rewrites earlier turns, a
                tokenizer that joins a reply with the text around it, or what the model cannot read.
        """
        opening, later = self._split(messages)
        known = len(self._pieces)
        text, first = self._piece("opening", *opening)
        ids, positions = list(first), [len(first) - 1]
        for number, content in enumerate(later):
            words, tokens = self._piece("user" if number % 2 else "reply", content)
            text += words
            ids += tokens
            if number % 2:
                positions.append(len(ids) - 1)
        if len(self._pieces) != known or len(later) not in self._lengths:
            self._compare(opening, later, text, ids)
            self._lengths.add(len(later))
        if len(self._pieces) > _MOST:
            self._pieces.clear()
        self._check_length(ids, positions)
        return Encoded(ids, positions)

    def replies(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of the replies among which a model chooses.

        Where one begins another (1 and 10) all include the token that ends a turn: only then do
        they exclude each other, and their probabilities sum to no more than one.
        """
        tokens = [self._piece("reply", text)[1] for text in texts]
        if any(longer[: len(one)] == one for one, longer in permutations(tokens, 2)):
            end = self._piece("user", "?")[1][:1]
            tokens = [[*reply, *end] for reply in tokens]
        self._room = max(self._room, *(len(reply) - 1 for reply in tokens))
        return tokens

    def _split(self, messages: Sequence[Mapping[str, str]]) -> tuple[tuple[str, ...], list[str]]:
        """Texts of the system and the first user turn, and those of reply, user, reply, ..."""
        roles = [message["role"] for message in messages]
        has_system = roles[:1] == ["system"]
        if len(roles) == has_system or roles[has_system:] != _by_turns(len(roles) - has_system):
            raise ValueError(
                "Expected perhaps a system turn, then user and assistant by turns; got "
                f"{', '.join(roles) or 'nothing'}."
            )
        if has_system and not self.has_system:
            messages, has_system = without_system(messages), False
        texts = [message["content"] for message in messages]
        return tuple(texts[: 1 + has_system]), texts[1 + has_system :]

    def _piece(self, kind: str, *texts: str) -> tuple[str, list[int]]:
        """What the template makes of a turn up to where a reply begins or ends, and its tokens."""
        key = kind, *texts
        if key not in self._pieces:
            text = texts[0]
            if kind == "opening":
                text = self._render(texts, [])
            elif kind == "user":
                # Whether it is the same after other turns is compared with the whole.
                before = self._render(("?",), ["1"])
                text = self._render(("?",), ["1", texts[0]])[len(before) :]
            self._pieces[key] = text, self._tokens(text)
        return self._pieces[key]

    def _tokens(self, text: str) -> list[int]:
        """Token ids of a text; the template has written the special ones already."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        self._check_vocabulary(ids)
        return ids

    def _render(self, opening: Sequence[str], later: Sequence[str]) -> str:
        """A conversation as the template writes it, up to where a reply begins or ends."""
        roles = ["system"] * (len(opening) - 1) + _by_turns(1 + len(later))
        reply = later[-1] if len(later) % 2 else ""
        chat = [
            {"role": role, "content": [{"type": "text", "text": text}] if self.in_parts else text}
            for role, text in zip(roles, chain(opening, later), strict=True)
        ]
        return f"{self.template.render(chat[:-1] if reply else chat)}{self.before_reply}{reply}"

    def _compare(
        self, opening: Sequence[str], later: Sequence[str], text: str, ids: list[int]
    ) -> None:
        whole = self._render(opening, later)
        if whole != text:
            raise self._rewrites(1 + len(later), whole, text)
        tokens = self._tokens(whole)
        if tokens != ids:
            at = common(tokens, ids)
            ours, theirs = (self._tokenizer.decode(part[at : at + 3]) for part in (ids, tokens))
            raise OutsideError(
                f"The tokenizer of {self._name} joins a reply with the text around it: {theirs!r} "
                f"instead of {ours!r}. Give `template`, one with special tokens around replies."
            )

    def _rewrites(self, turns: int, whole: str, text: str) -> RewritesError:
        """The error about a conversation of so many turns that is not its turns one by one."""
        at = common(whole, text)
        return RewritesError(
            f"The chat template of {self._name} rewrites history: a conversation of {turns} turns "
            f"holds {whole[at : at + 40]!r}, turn after turn it was {text[at : at + 40]!r}."
        )

    def _check_vocabulary(self, ids: list[int]) -> None:
        """Refuses tokens that the model has no embeddings for."""
        size, last = self.limits.vocabulary, max(ids, default=0)
        if size is not None and last >= size:
            raise OutsideError(
                f"The tokenizer of {self._name} has a token {last}, "
                f"{self._tokenizer.convert_ids_to_tokens(last)!r}, the model has embeddings for "
                f"{size} tokens: they do not belong together. Get both anew, from one place."
            )

    def _check_length(self, ids: list[int], positions: list[int]) -> None:
        """Refuses a conversation that leaves the model no room for a reply."""
        most = self.limits.tokens
        if most is None or len(ids) + self._room <= most:
            return
        turns = sum(position + 1 + self._room <= most for position in positions)
        remedy = f"set num_turns={turns}" if turns else "tell less beforehand"
        raise TooLongError(
            f"{self._name} reads at most {most} tokens, a conversation of {len(positions)} turns "
            f"has {len(ids) + self._room}, with room for the last reply; {turns} turns fit: "
            f"{remedy}, or take a model that reads more.",
            turns,
        )


class TooLongError(OutsideError):
    """A conversation that the model cannot read.

    Attributes:
        turns: that it could read.
    """

    def __init__(self, message: str, turns: int = 0) -> None:
        # The default is for pickle, which brings it from other processes: it fills it in.
        super().__init__(message)
        self.turns = turns


class RewritesError(OutsideError):
    """A template that writes earlier turns otherwise when later ones follow."""


def _by_turns(number: int) -> list[str]:
    """User, assistant, user, ..."""
    return [("user", "assistant")[turn % 2] for turn in range(number)]


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """With how many equal elements both begin."""
    for number, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return number
    return min(len(one), len(other))
