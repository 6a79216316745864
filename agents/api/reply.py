"""What messages say about a task's replies: the probabilities of their openings, or their text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.api.completion import Message
from acquaint_gym.envs.users.response_models import Floats

# What may stand before a reply: words that announce it, none that doubts or refuses.
_ANNOUNCING = (
    "and|answer|be|believe|best|category|certainly|choice|choose|chooses|chosen|final|"
    "give|go|goes|guess|he|here|i|is|it|its|label|letter|likely|most|my|number|ok|okay|"
    "option|person|pick|picks|predict|predicted|prediction|probable|probably|rate|rating|"
    "reply|respond|response|result|say|says|score|select|selected|selection|she|so|sure|"
    "that|the|their|therefore|they|think|this|thus|to|will|with|would|your"
)
# One of these must announce a reply that stands in the last line, after reasons.
_NAMING = re.compile(r"\b(answer|choice|prediction|rating|reply|response)\b")
_BEFORE = r"[\s([{]*(?:(?:" + _ANNOUNCING + r")\b(?:[\s:=,.!([{]|[-–—](?=\s))*)*[\s([{]*"
_AFTER = r"[\s)\]}.,!]*"
_BETWEEN = r"(?:[\s)\]}.:,;=([{→]|[-–—])+"
# Markup: quotation marks, emphasis, headings, LaTeX's \boxed{}, tags.
_MARKUP = re.compile(r"[*_`\"'«»]|^\s*(?:#+|[-•]\s)|\\(?:boxed|text(?:bf)?)|</?[a-z_]+>|\$|[\\]")


class Reading(NamedTuple):
    """What one person's messages of one turn say.

    Attributes:
        weights: `[A]` of the actions, not normalised, zero where illegal.
        mass: of legal replies: probability of the listed openings, or share of the messages.
        unparsed: messages that are no legal reply.
    """

    weights: Floats
    mass: float
    unparsed: int


class Labels:
    """How messages may name one of a task's replies.

    Args:
        replies: `A` texts, see `envs.prompt.PromptedTask.replies`.
        names: `A` words for the same, as the prompt lists them; those that are not everybody's own
            (twice the same, or another's reply) are none.
    """

    def __init__(self, replies: Sequence[str], names: Sequence[str] = ()) -> None:
        self.replies = tuple(replies)
        codes = {_plain(reply): n for n, reply in enumerate(replies)}
        words = [_plain(name).strip(" .!") for name in names]
        often = Counter(words)
        own = {word: n for n, word in enumerate(words) if word and often[word] == 1}
        self._names = words
        self._index = {**own, **codes}
        # The longest first: "very accurate" is no mention of "accurate".
        label = "|".join(map(re.escape, sorted(self._index, key=len, reverse=True)))
        self._statement = re.compile(rf"{_BEFORE}(?P<label>{label})(?!\w)(?P<rest>.*)")
        self._mention = re.compile(rf"(?<![\w.])(?:{label})(?!\w)")

    def read(self, text: str) -> int | None:
        """Which reply a message is; None if it is none.

        `4`, `4.`, `"4"`, `**4**`, `(4)`, `4 (Moderately Accurate)`, `Moderately Accurate`, `Option
        4`, `Answer: 4`, `I would say 4`: a reply, its words or both, one line that holds nothing
        else but words that announce it. The line is the first or, where it says that it is the
        answer, the last; the others may give reasons but name no other reply. Of a message that
        was cut short the words may be incomplete, if the reply stands before them. Thoughts up to
        `</think>` are left out. Everything else is none: `As an AI, I can't answer 4 questions`,
        `4 or 5`, `4/5`, `4.5`, `-4`, `not 4`, `4?`.
        """
        text = unicodedata.normalize("NFKC", text.rpartition("</think>")[2])
        if "<think>" in text:  # a thought that was cut short
            return None
        lines = [line for line in map(_without_markup, text.splitlines()) if line]
        if not lines:
            return None
        label = self._stated(lines[0].lower())
        if label is None and len(lines) > 1 and _NAMING.search(lines[-1].lower()):
            label = self._stated(lines[-1].lower())
        return label if set().union(*map(self._named, lines)) <= {label} else None

    def _named(self, line: str) -> set[int]:
        """The replies that a line names; of letters only large ones, for `a` is a word."""
        mentions = self._mention.finditer(line.lower())
        return {
            self._index[m[0]]
            for m in mentions
            if not (len(m[0]) == 1 and m[0].isalpha() and line[m.start()].islower())
        }

    def _stated(self, line: str) -> int | None:
        """The reply that a line states, and nothing else."""
        stated = self._statement.fullmatch(line)
        if stated is None:
            return None
        label, rest = self._index[stated["label"]], stated["rest"]
        if re.fullmatch(_AFTER, rest):
            return label
        more = re.fullmatch(rf"{_BETWEEN}(?P<more>[^\s].*?){_AFTER}", rest)
        if more is None or re.match(r"[.,]\d", rest):
            return None
        again = self._index.get(more["more"]) == label
        cut_short = bool(self._names) and self._names[label].startswith(more["more"])
        return label if again or cut_short else None


def by_opening(messages: list[Message], labels: Labels, legal: npt.NDArray[np.bool_]) -> Reading:
    """Probabilities of replies `[A]`, no two of which begin alike, from the one message's opening.

    A reply has the probability of all tokens with which it begins: `1`, ` 1`. Legal replies that
    are not listed share what the list leaves, and none gets more than the least of the list. Where
    the list holds no legal reply, as before `Answer: 4`, the message is read as text.
    """
    listed, weights = messages[0].openings or [], np.zeros(len(labels.replies))
    for word, p in listed:
        weights[[reply.startswith(word) for reply in labels.replies]] += p
    weights *= legal
    mass = float(weights.sum())
    if mass == 0:
        return by_text(messages, labels, legal)
    probabilities = [p for _, p in listed]
    missing = legal & (weights == 0)
    rest = max(1 - sum(probabilities), 0.0)
    weights[missing] = min(min(probabilities), rest / max(missing.sum(), 1))
    return Reading(weights, mass, 0)


def by_text(messages: list[Message], labels: Labels, legal: npt.NDArray[np.bool_]) -> Reading:
    """Frequencies of replies `[A]` among messages, after one more of each if there are several.

    Which reply a message is says `Labels.read`; if it is no legal one, all legal ones have an equal
    share of it.
    """
    weights, unparsed = np.zeros(len(labels.replies)), 0
    for message in messages:
        label = labels.read(message.text)
        meant = legal & (np.arange(len(legal)) == (-1 if label is None else label))
        weights += meant if meant.any() else legal / legal.sum()
        unparsed += not meant.any()
    if len(messages) > 1:
        weights += legal
    return Reading(weights, 1 - unparsed / len(messages), unparsed)


def _without_markup(line: str) -> str:
    """A line without markup; `I'd` is written out first, for its mark is one of quotation too."""
    line = line.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    for short, long in (("'d", " would"), ("'ll", " will"), ("'s", " is")):
        line = re.sub(rf"(?i)(?<=[a-z]){short}\b", long, line)
    return " ".join(_MARKUP.sub(" ", line).split())


def _plain(text: str) -> str:
    """A text as lines are compared with it."""
    return _without_markup(unicodedata.normalize("NFKC", text)).lower()
