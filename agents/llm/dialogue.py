"""Conversations as token ids, which only ever grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, permutations
from typing import Any, NamedTuple

from jinja2 import TemplateError

from acquaint_gym.envs.prompt import without_system

# Some templates print today's date unless they are told one; a score must not depend on the day.
_DATE = "26 Jul 2024"
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

    Args:
        tokenizer: of `transformers`, with a chat template.
        name: of the model, for error messages.

    Raises:
        ValueError: no chat template, or one that fails on a short conversation, see `encode`.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer, self._name = tokenizer, name
        self._pieces: dict[tuple[str, ...], tuple[str, list[int]]] = {}
        self._lengths: set[int] = set()
        if not tokenizer.chat_template:
            raise ValueError(f"{name} has no chat template; choose an instruction-tuned model.")
        opening = ("Reply with a number.", "One?")
        try:
            # A template without a system turn refuses it, or leaves it out without a word.
            self._knows_system = opening[0] in self._rendered(opening, [])
        except ValueError:
            self._knows_system = False
        roles = ("system", "user", "assistant", "user", "assistant", "user")
        texts = (*opening, "1", "Two?", "2", "End.")
        self.encode([{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)])

    def encode(self, messages: Sequence[Mapping[str, str]]) -> Encoded:
        """A conversation that waits for a reply, or ends with one.

        Args:
            messages: perhaps a system turn, then user and assistant by turns. Where the template
                knows no system turn, its text opens the first user turn.

        Raises:
            ValueError: turns in another order, a template that rewrites earlier turns, or a
                tokenizer that joins a reply with the text around it.
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
        if has_system and not self._knows_system:
            messages, has_system = without_system(messages), False
        texts = [message["content"] for message in messages]
        return tuple(texts[: 1 + has_system]), texts[1 + has_system :]

    def _piece(self, kind: str, *texts: str) -> tuple[str, list[int]]:
        """What the template makes of a turn up to where a reply begins or ends, and its tokens."""
        key = kind, *texts
        if key not in self._pieces:
            text = texts[0]
            if kind == "opening":
                text = self._rendered(texts, [])
            elif kind == "user":
                # Whether it is the same after other turns is compared with the whole.
                before = self._rendered(("?",), []) + "1"
                text = self._rendered(("?",), ["1", texts[0]])[len(before) :]
            self._pieces[key] = text, self._tokens(text)
        return self._pieces[key]

    def _tokens(self, text: str) -> list[int]:
        """Token ids of a text; the template has written the special ones already."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _rendered(self, opening: Sequence[str], later: Sequence[str]) -> str:
        """A conversation as the template writes it, up to where a reply begins or ends."""
        roles = ["system"] * (len(opening) - 1) + _by_turns(1 + len(later))
        reply = later[-1] if len(later) % 2 else ""
        chat = [
            {"role": role, "content": content}
            for role, content in zip(roles, chain(opening, later), strict=True)
        ]
        try:
            text = self._tokenizer.apply_chat_template(
                chat[:-1] if reply else chat,
                tokenize=False,
                add_generation_prompt=True,
                date_string=_DATE,
            )
        except TemplateError as error:
            raise ValueError(f"The chat template of {self._name} fails: {error}.") from error
        return f"{text}{reply}"

    def _compare(
        self, opening: Sequence[str], later: Sequence[str], text: str, ids: list[int]
    ) -> None:
        whole = self._rendered(opening, later)
        if whole != text:
            at = common(whole, text)
            raise ValueError(
                f"The chat template of {self._name} rewrites history: a conversation of "
                f"{1 + len(later)} turns holds {whole[at : at + 40]!r}, turn after turn it was "
                f"{text[at : at + 40]!r}. Give the tokenizer a template that only appends."
            )
        tokens = self._tokens(whole)
        if tokens != ids:
            at = common(tokens, ids)
            ours, theirs = (self._tokenizer.decode(part[at : at + 3]) for part in (ids, tokens))
            raise ValueError(
                f"The tokenizer of {self._name} joins a reply with the text around it: {theirs!r} "
                f"instead of {ours!r}. Let the template set replies apart, e.g. by special tokens."
            )


def _by_turns(number: int) -> list[str]:
    """User, assistant, user, ..."""
    return [("user", "assistant")[turn % 2] for turn in range(number)]


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """With how many equal elements both begin."""
    for number, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return number
    return min(len(one), len(other))
