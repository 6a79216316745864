"""What the embedded model is pre-trained on: the language of the personality tasks, no inference.

Four kinds of documents, about training people or about nobody:

- conversations in each task's own format that begin with the person's stated profile; targets are
  the exact probabilities of each answer given that profile;
- the belief probes' questions about such a person: the stated levels, the answers to items;
- answers drawn evenly at random, which say nothing about traits, and questions what they were;
- which trait a statement is about, and which way it is keyed; which flight is the cheapest.

None asks for anything that would have to be inferred from answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.probe import ItemsProbe, LevelsProbe, Probe
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import environment_spec, make_task
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints

QUESTIONNAIRE = "acquaint/Questionnaire-v0"
FORCED_CHOICE = "acquaint/ForcedChoice-v0"
FLIGHTS = "acquaint/Flights-v0"
FEATURES = ("departure time", "duration", "number of stops", "price")
# How often the assistant of a document replies with the most probable answer.
SENSIBLE = 0.75
# How often a conversation is the task's own and nothing else, without a probe at its end.
PLAIN = 0.5
# Most questions at the end of a document.
ASKED, LEVELS_ASKED = 10, 2
MOST_REPLIES = 5  # K


class Stage(NamedTuple):
    """How hard documents are, and about whom; training begins with what is easy.

    Attributes:
        split: whose profiles are stated.
        longest: share of a task's turns that a conversation may have.
        varied: how often wording, labels and order of options are drawn, not as printed.
    """

    split: str = "train"
    longest: float = 1.0
    varied: float = 0.4

    def turns(self, task: UserTask) -> int:
        """The most turns of a conversation."""
        return max(1, round(self.longest * task.num_turns))


class SoftTarget(NamedTuple):
    """What is learned at one reply: a distribution over replies.

    Attributes:
        texts: `n` replies, one token each.
        probs: `[n]` how probable they are.
    """

    texts: Sequence[str]
    probs: Floats


class Document(NamedTuple):
    """A conversation, and what its replies should have been.

    Attributes:
        messages: chat messages; the last one is the user's.
        targets: of each reply and of the one that would follow; None where nothing is learned.
    """

    messages: list[dict[str, str]]
    targets: list[SoftTarget | None]


class Example(NamedTuple):
    """A document as numbers.

    Attributes:
        ids: `[n]` tokens.
        positions: `[m]` places whose next token is learned.
        tokens: `[m, K]` tokens that may come next; 0 beyond the last one.
        probs: `[m, K]` how probable they are.
    """

    ids: Ints
    positions: Ints
    tokens: Ints
    probs: Floats


def write_profile(
    rng: np.random.Generator, stage: Stage, env_id: str, **arguments: Any
) -> Document:
    """A person of a split with a stated profile, in a task's own format; perhaps a probe."""
    task = _task(env_id, context="traits", **arguments, **_format(rng, stage))
    users = Simulator(task, stage.split, 0).draw(rng.integers(2**40, size=1))
    probs = task.model.probs(users.levels[:, None], users.stimuli)[0]
    turns, random = stage.turns(task), rng.integers(len(task.actions), size=len(probs))
    actions = np.where(rng.random(len(probs)) < SENSIBLE, probs.argmax(axis=1), random)
    feedback = task.feedback_of(actions[None], users.answers, users.would_accept)
    targets: list[SoftTarget | None] = [SoftTarget(task.replies, row) for row in probs]
    whole = users.stimuli[0], actions, feedback[0]
    if rng.random() < PLAIN:
        messages = task.prompt(_transcript(task, whole, turns - 1, users.context[0]).person(0))
        return Document(messages, targets[:turns])
    answered = int(rng.integers(turns + 1))
    messages = task.prompt(
        _transcript(task, whole, answered, users.context[0]).between_turns().person(0)
    )
    bank = task.bank
    if bank is not None and rng.random() < 0.5:
        probe: Probe = ItemsProbe(task)
        items = np.arange(bank.num_items, dtype=np.float32)[:, None]
        exact = task.model.probs(users.levels, items)
    else:
        probe = LevelsProbe(task)
        exact = np.eye(len(probe.replies))[users.levels[0]]
    drawn = rng.permutation(len(exact))[: ASKED if len(exact) > ASKED else LEVELS_ASKED]
    questions = [(probe.questions[n], SoftTarget(probe.replies, exact[n])) for n in drawn]
    return _with_questions(messages, targets[:answered], questions)


def write_recall(rng: np.random.Generator, stage: Stage) -> Document:
    """Answers drawn evenly, in a list or a conversation; then questions what they were."""
    task = _task(QUESTIONNAIRE, **_format(rng, stage))
    assert task.bank is not None
    size = len(task.actions)
    items = rng.permutation(task.bank.num_items).astype(np.float32)
    answers, actions = rng.integers(size, size=(2, len(items)))
    known = int(rng.integers(2, max(2, stage.turns(task)) + 1))
    listed = (0, known, int(rng.integers(known)))[rng.choice(3, p=(0.6, 0.3, 0.1))]
    rest = [part[listed:] for part in (items[:, None], actions, answers)]
    messages = task.prompt(_transcript(task, rest, known - listed).between_turns().person(0))
    if listed:
        lines = [f"- {task.context_line(items[n : n + 1], answers[n])}\n" for n in range(listed)]
        opening = "This is known about the person:\n" + "".join(lines)
        messages[1]["content"] = opening + messages[1]["content"]
    questions = [
        (
            f'How did the person answer: "{task.bank.text[int(items[n])]}"',
            SoftTarget(task.replies, np.eye(size)[answers[n]]),
        )
        for n in rng.permutation(known)[:ASKED]
    ]
    return _with_questions(messages, [None] * (known - listed), questions)


def about(rng: np.random.Generator, stage: Stage) -> Document:
    """Which traits statements are about, and which way they are keyed."""
    bank = ItemBank.load("ipip50")
    questions = []
    for item in rng.choice(bank.num_items, ASKED, replace=False):
        trait = np.eye(len(bank.traits))[bank.trait[item]]
        keyed = np.array([bank.keying[item] > 0, bank.keying[item] < 0], dtype=float)
        statement = f'The statement is: "{bank.text[item]}"\nWhich trait is it about?'
        questions.append((statement, SoftTarget(bank.traits, trait)))
        questions.append(
            ("Is it keyed for or against this trait?", SoftTarget(("for", "against"), keyed))
        )
    return _with_questions([], [], questions)


def write_comparison(rng: np.random.Generator, stage: Stage) -> Document:
    """Which flight has the lowest or the highest price, duration, ..."""
    task = _task(FLIGHTS, **_format(rng, stage))
    users = Simulator(task, stage.split, 0).draw(rng.integers(2**40, size=1))
    start = _transcript(task, [users.stimuli[0], *np.repeat(users.answers, 2, axis=0)], 0)
    questions = []
    for stimulus in users.stimuli[0]:
        feature, sign = FEATURES[rng.integers(len(FEATURES))], rng.choice((-1, 1))
        value = sign * task.feature(feature, stimulus[None])[0]
        best = (value == value.max()).astype(float)
        options = task.question(stimulus).partition("\n")[2]
        question = f"Which one has the {'highest' if sign > 0 else 'lowest'} {feature}?\n{options}"
        questions.append((question, SoftTarget(task.replies, best / best.sum())))
    return _with_questions(task.prompt(start.person(0))[:1], [], questions)


def encode(document: Document, dialogue: Dialogue) -> Example:
    """A document as numbers.

    Raises:
        ValueError: a reply of several tokens.
    """
    written = dialogue.encode(document.messages)
    learned = [(n, target) for n, target in enumerate(document.targets) if target is not None]
    tokens = np.zeros((len(learned), MOST_REPLIES), dtype=np.int64)
    probs = np.zeros((len(learned), MOST_REPLIES), dtype=np.float32)
    for row, (_, target) in enumerate(learned):
        replies = dialogue.replies(target.texts)
        if any(len(reply) > 1 for reply in replies):
            raise ValueError(f"One token each, expected of {', '.join(target.texts)}.")
        tokens[row, : len(replies)] = [reply[0] for reply in replies]
        probs[row, : len(replies)] = target.probs
    positions = np.array([written.answer_positions[n] for n, _ in learned])
    return Example(np.array(written.ids), positions, tokens, probs)


@cache
def _task(env_id: str, **arguments: Any) -> UserTask:
    """The task of an environment, made once."""
    fixed = dict(environment_spec(env_id).kwargs)
    return make_task(fixed.pop("task"), **{**fixed, **arguments})


def _format(rng: np.random.Generator, stage: Stage) -> dict[str, Any]:
    """Arguments that change how a prompt is written, not what is asked."""
    if rng.random() >= stage.varied:
        return {}
    return {
        "wording": int(rng.integers(3)),
        "option_order": ("printed", "reversed")[rng.integers(2)],
        "labels": ("numbers", "letters")[rng.integers(2)],
    }


def _transcript(
    task: UserTask, turns: Sequence[Any], answered: int, context: Floats | None = None
) -> Transcript:
    """A batch of one transcript, of stimuli `[T, S]`, actions and what was shown `[T]`."""
    stimuli = np.full((task.num_turns, len(task.stimulus_low)), -1.0)
    known = np.full((2, task.num_turns), -1.0)
    asked = turns[0][: answered + 1]
    stimuli[: len(asked)] = asked
    known[:, :answered] = np.stack(turns[1:])[:, :answered]
    before = None if context is None else context[None]
    return Transcript.of(np.array([answered]), stimuli[None], known[:1], known[1:], context=before)


def _with_questions(
    messages: list[dict[str, str]],
    targets: list[SoftTarget | None],
    questions: Sequence[tuple[str, SoftTarget]],
) -> Document:
    """A conversation that goes on with questions, answered as is most probable."""
    for number, (question, answer) in enumerate(questions):
        if number or len(messages) < 2:
            messages.append({"role": "user", "content": question})
        else:
            messages[-1]["content"] += f"\n{question}"
        targets.append(answer)
        if number < len(questions) - 1:
            reply = answer.texts[int(np.argmax(answer.probs))]
            messages.append({"role": "assistant", "content": reply})
    return Document(messages, targets)


def _questionnaires(rng: np.random.Generator, stage: Stage) -> Document:
    """A questionnaire, mostly in printed order; a short one asks for any items."""
    shuffled = stage.longest < 1 or rng.random() < 0.2
    return write_profile(rng, stage, QUESTIONNAIRE, order="shuffled" if shuffled else "fixed")


def _flights(rng: np.random.Generator, stage: Stage) -> Document:
    """Flights; mostly the feedback is accepted or rejected only.

    Those of a single trait are not among them: their prompts are the same, and which trait decides
    would have to be inferred.
    """
    return write_profile(
        rng, stage, FLIGHTS, feedback=("accept", "choice")[int(rng.random() < 0.3)]
    )


def _triples(rng: np.random.Generator, stage: Stage) -> Document:
    """Forced choices."""
    return write_profile(rng, stage, FORCED_CHOICE)


Writer = Callable[[np.random.Generator, Stage], Document]
# Documents of about one length about people of a split, and what share of all they are.
GROUPS: dict[str, tuple[Writer, float]] = {
    "questionnaire": (_questionnaires, 0.36),
    "flights": (_flights, 0.26),
    "compared": (write_comparison, 0.08),
    "forced choice": (_triples, 0.14),
    "recalled": (write_recall, 0.10),
    "about": (about, 0.06),
}


def texts(documents: Iterable[Document]) -> Iterator[str]:
    """All texts of documents, for a tokenizer."""
    for document in documents:
        yield from (message["content"] for message in document.messages)
        yield from (text for one in document.targets if one is not None for text in one.texts)
