"""Conversations as token ids: templates of three families, and those that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_llm import (
    GEMMA2,
    GEMMA3,
    LLAMA3,
    QWEN,
    REWRITING,
    TEMPLATES,
    questionnaire,
    seen,
    tokenizer,
)

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.registration import make_task

SETTINGS = [
    ("acquaint_gym.envs.tasks.questionnaire:Questionnaire", {"order": "shuffled", "num_turns": 6}),
    ("acquaint_gym.envs.tasks.questionnaire:Questionnaire", {"labels": "letters", "num_turns": 6}),
    ("acquaint_gym.envs.tasks.flight_choice:FlightChoice", {}),
    ("acquaint_gym.envs.tasks.flight_choice:FlightChoice", {"feedback": "accept"}),
]


def chats(task, turn):
    shown = seen(task, turn)
    return [task.prompt(shown.person(row)) for row in range(3)]


def whole(template, messages):
    """What template and tokenizer make of a conversation at once."""
    return tokenizer(template).apply_chat_template(
        messages, add_generation_prompt=True, date_string="26 Jul 2024", return_dict=False
    )


def merged(messages):
    system, user, *others = messages
    return [
        {"role": "user", "content": f"{system['content']}\n\n{user['content']}"},
        *others,
    ]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize(("target", "arguments"), SETTINGS)
def test_ids_are_the_templates_own_and_only_grow(template, target, arguments):
    task = make_task(target, **arguments)
    dialogue = Dialogue(tokenizer(template), "tiny")
    before = [[] for _ in range(3)]
    for turn in range(task.num_turns + 1):
        for row, messages in enumerate(chats(task, turn)):
            ids, positions = dialogue.encode(messages)
            expected = merged(messages) if template == GEMMA2 else messages
            assert ids == whole(template, expected)
            assert positions[-1] == len(ids) - 1
            assert len(positions) == turn + 1
            if turn:
                [reply] = dialogue.replies([messages[-2]["content"]])
                assert ids[: len(before[row]) + len(reply)] == before[row] + reply
            before[row] = ids
    assert len(set(map(tuple, before))) == 3


def test_a_finished_conversation_has_all_answer_positions():
    task, dialogue = questionnaire(num_turns=5), Dialogue(tokenizer(), "tiny")
    messages = chats(task, 5)[0]
    ids, positions = dialogue.encode(messages[:-1])  # ends with the fifth reply
    assert len(positions) == 5
    for position, message in zip(positions, messages[2::2], strict=True):
        [reply] = dialogue.replies([message["content"]])
        assert ids[position + 1 : position + 1 + len(reply)] == reply
    assert positions[-1] + len(reply) == len(ids) - 1
    turns = [dialogue.encode(chats(task, turn)[0]) for turn in range(5)]
    assert [len(turn.ids) - 1 for turn in turns] == positions


def test_a_system_text_opens_the_first_turn_where_the_template_has_none():
    silent = GEMMA3.replace(
        "{% set first = messages[0]['content'] + '\n\n' %}", "{% set first = '' %}"
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Well?"}]
    texts = {
        template: tokenizer(template).decode(
            Dialogue(tokenizer(template), "x").encode(messages).ids
        )
        for template in (GEMMA2, GEMMA3, silent, QWEN)
    }
    assert texts[GEMMA2] == texts[GEMMA3] == texts[silent]
    assert texts[GEMMA2] == "<|begin|><|user|>\nBe kind.\n\nWell?<|end|>\n<|assistant|>\n"
    assert "<|system|>\nBe kind.<|end|>" in texts[QWEN]


def test_a_prompt_does_not_depend_on_the_day():
    ids = Dialogue(tokenizer(LLAMA3), "tiny").encode([{"role": "user", "content": "Well?"}]).ids
    assert "26 Jul 2024" in tokenizer(LLAMA3).decode(ids)


def test_a_template_that_rewrites_history_is_refused():
    with pytest.raises(ValueError, match="chat template of some/model rewrites history") as error:
        Dialogue(tokenizer(REWRITING), "some/model")
    assert "<|" in str(error.value)  # shows where they part
    assert "\n" not in str(error.value)


def test_history_rewritten_late_or_because_of_its_words_is_noticed():
    late = REWRITING.replace("loop.revindex < 4", "loop.revindex < 8")
    dialogue = Dialogue(tokenizer(late), "some/model")
    task = questionnaire(num_turns=6)
    dialogue.encode(chats(task, 2)[0])
    with pytest.raises(ValueError, match="rewrites history"):
        dialogue.encode(chats(task, 4)[0])
    words = LLAMA3.replace("m['content'] | trim", "m['content'].split('!')[-1] | trim")
    dialogue = Dialogue(tokenizer(words), "some/model")
    turns = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "1"}]
    turns += [{"role": "user", "content": "And?"}]
    dialogue.encode(turns)
    turns[1] = {"role": "assistant", "content": "thought! 1"}
    with pytest.raises(ValueError, match="rewrites history"):
        dialogue.encode(turns)


def test_a_tokenizer_that_joins_replies_with_what_surrounds_them_is_refused():
    # A space before the reply becomes part of its first token.
    joining = "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    raw = tokenizer(joining)
    assert raw.tokenize("? 1") != raw.tokenize("? ") + raw.tokenize("1")  # else nothing is tested
    with pytest.raises(ValueError, match="tokenizer of tiny joins a reply"):
        Dialogue(raw, "tiny")


def test_turns_in_another_order_are_refused():
    dialogue = Dialogue(tokenizer(), "tiny")
    user, reply = ({"role": role, "content": "1"} for role in ("user", "assistant"))
    for messages in ([], [reply], [user, user], [{"role": "system", "content": "x"}]):
        with pytest.raises(ValueError, match="user and assistant by turns; got"):
            dialogue.encode(messages)


def test_a_template_that_fails_is_named():
    with pytest.raises(ValueError, match="chat template of tiny fails: no users"):
        Dialogue(tokenizer("{{ raise_exception('no users') }}"), "tiny")


def test_replies_that_begin_others_end_their_turn():
    dialogue = Dialogue(tokenizer(), "tiny")
    [end] = tokenizer().encode("<|end|>", add_special_tokens=False)
    apart, together = dialogue.replies(["1", "2"]), dialogue.replies(["1", "1 2"])
    assert all(end not in reply for reply in apart)
    assert all(reply[-1] == end for reply in together)
    assert together[1][: len(together[0])] != together[0]


def test_writing_it_again_renders_nothing(monkeypatch):
    task, dialogue = questionnaire(num_turns=6), Dialogue(tokenizer(), "tiny")
    messages = chats(task, 6)[0]
    first = dialogue.encode(messages)
    monkeypatch.setattr(dialogue, "_render", None)
    monkeypatch.setattr(dialogue, "_tokens", None)
    assert dialogue.encode(messages) == first
    ids, positions = first
    ids.append(-1)
    positions.append(-1)
    assert dialogue.encode(messages) != first  # what was returned is the caller's own
    assert np.shape(dialogue.encode(messages).answer_positions) == (7,)
