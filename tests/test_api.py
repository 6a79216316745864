"""The agent that asks a server, against a real HTTP server on this machine."""

from __future__ import annotations

import json
import math
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from acquaint_gym.agents.api import connection
from acquaint_gym.agents.api.agent import ApiAgent
from acquaint_gym.agents.api.cache import AnswerCache, request_key
from acquaint_gym.agents.api.chat import GREETING
from acquaint_gym.agents.api.completion import Message, RefusedError, read_completion
from acquaint_gym.agents.api.reply import Labels, by_opening, by_text
from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.core import AnotherModelError, OutsideError
from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.envs.prompt import without_system
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.store import Store

TASK = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
KEY = "sk-very-secret"
ALL = np.ones(5, dtype=bool)
# Status, headers, content; None closes the connection without a word.
Answer = tuple[int, dict[str, str], Any] | None


def completion(text: str, *steps: dict[str, float]) -> Answer:
    """A completion; a step lists alternatives to a token, the first of which was written."""
    listed = [
        {
            "token": next(iter(step)),
            "logprob": math.log(next(iter(step.values()))),
            "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in step.items()],
        }
        for step in steps
    ]
    choice = {
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": listed} if steps else None,
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 2}
    return 200, {}, {"choices": [choice], "usage": usage}


def distribution(messages: list[dict[str, str]]) -> np.ndarray:
    """`[5]` what the served model thinks of the five replies: anything, but a function of these."""
    words = bytes.fromhex(request_key(messages))
    weights = 1.0 + np.frombuffer(words[:5], dtype=np.uint8)
    return 0.9 * weights / weights.sum()


def scoring(body: dict[str, Any]) -> Answer:
    """A server with log-probabilities: a tenth of the mass lies on other words."""
    probs = distribution(body["messages"])
    return completion("", {"The": 0.1, **{str(n): p for n, p in enumerate(probs, start=1)}})


def writing(body: dict[str, Any]) -> Answer:
    """A server without any: the most probable reply, with a blank and a stop."""
    return completion(f" {distribution(body['messages']).argmax() + 1}.\n")


class Server:
    """What was asked, greetings apart, and the function that answers."""

    def __init__(self) -> None:
        self.greetings: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = scoring
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    def script(self, *answers: Answer) -> None:
        """Answers with these, one after the other, and with the last one from then on."""
        left = list(answers)
        self.answer = lambda body: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            greets = body["messages"][-1]["content"].endswith(GREETING[-1]["content"])
            (state.greetings if greets else state.asked).append(body)
            state.keys.append(self.headers["Authorization"])
            answer = state.answer(body) if self.path == "/v1/chat/completions" else (404, {}, "")
            if answer is None:
                return
            status, headers, content = answer
            raw = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, none of which is made."""
    made: list[float] = []
    monkeypatch.setattr(connection, "sleep", made.append)
    return made


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else."""
    monkeypatch.setattr(Figure, "savefig", lambda _, file, **__: file.touch())


@pytest.fixture
def build(server: Server, tmp_path: Path) -> Callable[..., ApiAgent]:
    def built(num_turns: int = 4, **arguments: Any) -> ApiAgent:
        task = make_task(TASK, num_turns=num_turns)
        plain = {"base_url": server.url, "cache": str(tmp_path / "cache"), "backoff": 0.001}
        return ApiAgent(task, "served", **{**plain, **arguments})

    return built


def observed(turn: int = 2, people: int = 3) -> dict[str, np.ndarray]:
    task = make_task(TASK, num_turns=4)
    users = Simulator(task, "test", 0).draw(np.arange(people))
    return example_transcripts(task, users, np.full(people, turn))


def chats(agent: ApiAgent, observation: dict[str, np.ndarray]) -> list[list[dict[str, str]]]:
    rows = range(observation.num_people)
    return [agent.task.prompt(observation.person(row)) for row in rows]


def usage(tmp_path: Path) -> list[dict[str, Any]]:
    files = sorted((tmp_path / "cache").glob("chat/completions/served/usage/*.json"))
    return [json.loads(file.read_text("utf-8")) for file in files]


# What comes back, and what it says.


def test_log_probabilities_are_those_of_the_server(build, server):
    agent, observation = build(logprobs=True), observed()
    decision = agent.act(observation, np.zeros(3))
    expected = np.stack([distribution(chat) for chat in chats(agent, observation)]) / 0.9
    np.testing.assert_allclose(decision.action_probs, expected, rtol=1e-12)
    np.testing.assert_allclose(decision.answer_mass, 0.9)
    np.testing.assert_array_equal(decision.action, expected.argmax(axis=1))
    assert len(np.unique(decision.action)) > 1
    assert sorted(body["messages"][-1]["content"] for body in server.asked) == sorted(
        chat[-1]["content"] for chat in chats(agent, observation)
    )
    fields = {key: value for key, value in server.asked[0].items() if key != "messages"}
    assert fields == {
        "model": "served",
        "logprobs": True,
        "top_logprobs": 20,
        "temperature": 1,
        "top_p": 1,
        "max_tokens": 8,
    }


def opened(*steps: dict[str, float]) -> Message:
    answer = completion("", *steps)
    assert answer is not None
    return read_completion(answer[2])


NAMES = (
    "Very Inaccurate",
    "Moderately Inaccurate",
    "Neither Inaccurate nor Accurate",
    "Moderately Accurate",
    "Very Accurate",
)
LABELS = Labels("12345", NAMES)


def test_a_reply_has_the_tokens_with_which_it_begins_and_no_other():
    listed = {"1": 0.3, " 1": 0.1, "\n2": 0.2, "12": 0.1, "3.": 0.1, "4": 0.05, "5": 0.05, "0": 0.1}
    read = by_opening([opened(listed)], LABELS, ALL)
    assert read.mass == pytest.approx(0.7)
    # Nothing is left, so that 3, which is not listed, has nothing.
    np.testing.assert_allclose(read.weights, [0.4, 0.2, 0, 0.05, 0.05])
    words = by_opening([opened({"ye": 0.5, "no": 0.3, "y": 0.1})], Labels(("yes", "no")), ALL[:2])
    np.testing.assert_allclose(words.weights, [0.6, 0.3])


def test_white_space_before_a_reply_is_followed():
    read = by_opening(
        [opened({" ": 0.8, "1": 0.1, "x": 0.1}, {"2": 0.5, "1": 0.25, "y": 0.25}, {"5": 1.0})],
        Labels("12"),
        ALL[:2],
    )
    np.testing.assert_allclose(read.weights, [0.1 + 0.8 * 0.25, 0.8 * 0.5])
    assert read.mass == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"1": 0.5, "2": 0.3, "x": 0.02}, [0.5, 0.3, 0.02, 0.02, 0.02]),  # no more than the least
        ({"1": 0.5, "2": 0.3, "x": 0.17}, [0.5, 0.3, 0.01, 0.01, 0.01]),  # no more than the rest
        ({"1": 0.6, "2": 0.4}, [0.6, 0.4, 0, 0, 0]),
    ],
)
def test_replies_that_are_not_listed_share_what_is_left(listed, expected):
    np.testing.assert_allclose(by_opening([opened(listed)], LABELS, ALL).weights, expected)


def test_illegal_replies_are_none():
    legal = np.array([True, False, True, True, True])
    read = by_opening([opened({"2": 0.5, "1": 0.4, "x": 0.04})], LABELS, legal)
    np.testing.assert_allclose(read.weights, [0.4, 0, 0.02, 0.02, 0.02])
    assert read.mass == pytest.approx(0.4)
    read = by_text([Message("2", None, None, {})], LABELS, legal)
    np.testing.assert_allclose(read.weights, legal / 4)
    assert read.unparsed == 1


READ = """
4 | 4. | "4" | '4' | \u201c4\u201d | `4` | **4** | (4) | [4] | 4) | # 4 | - 4 | \uff14 | 4,
<answer>4</answer> | \\boxed{4} | $\\boxed{4}$ | {"answer": 4} | ```\\n4\\n```
4 (Moderately Accurate) | 4 - Moderately Accurate | 4: Moderately Accurate
4. **Moderately Accurate** | 4 \u2013 Moderately Accurate | 4 (Moder | Moderately Accurate
moderately accurate. | Moderately Accurate (4) | Option 4 | option 4: Moderately Accurate
Answer: 4 | **Answer:** 4 | The answer is 4. | My answer is: **4 (Moderately Accurate)**
I would say 4 | I'd say 4. | I\u2019d go with **4**. | They would likely choose 4
Sure! The answer is 4 | Here's my prediction: 4 | It's 4.
I think the person would say "Moderately Accurate". | 4\\n\\nShe is kind.
She is kind.\\n\\nAnswer: 4 | <think>1 or 3?</think>\\n\\n4
"""
UNREAD = """
As an AI, I can't answer 4 questions | As an AI, I can't answer this. | I cannot say. | No.
4 or 5 | 4/5 | 4.5 | 4.4 | -4 | not 4 | No 4 | 4? | 44 | 6 | 4th | 4% | 4+ | ~4 | <4
4 (Very Inaccurate) | 4 questions remain | I wouldn't say 4 | I'd rather not say 4
I won't answer 4 | I'm unable to rate 4 | 4 out of 5 | On a scale of 1 to 5, 4 | Between 3 and 4
Option 4 is not something I can choose | Accurate | Moderately | 4\\n5 | <think>4
1. As an AI, I can | 4. Because | 1. Very Inaccurate\\n2. Moderately Inaccurate | most of the 4
the 4 options are unclear | Answer: 4 or 5 | Which option would they choose: 4?
I can't.\\nOption 4
"""


def messages_of(table: str) -> list[str]:
    return [text.replace("\\n", "\n") for text in re.split(r" \| |\n", table.strip())]


@pytest.mark.parametrize("text", messages_of(READ))
def test_a_message_is_the_reply_that_it_states(text):
    read = by_text([Message(text, None, None, {})], LABELS, ALL)
    np.testing.assert_array_equal(read.weights, np.eye(5)[3])
    assert (read.mass, read.unparsed) == (1, 0)


@pytest.mark.parametrize("text", ["", *messages_of(UNREAD)])
def test_a_message_that_states_none_or_two_is_no_reply(text):
    read = by_text([Message(text, None, None, {})], LABELS, ALL)
    np.testing.assert_array_equal(read.weights, np.full(5, 0.2))
    assert (read.mass, read.unparsed) == (0, 1)


def test_letters_are_replies_large_or_small_but_no_words():
    labels = Labels("ABCDE", NAMES)
    for text in ("B", "b", "(b)", "Answer: b", "B. Moderately Inaccurate", "B\n\nShe is shy."):
        assert labels.read(text) == 1, text
    for text in ("A person would say B", "B or C", "As an AI", "a person", "I"):
        assert labels.read(text) is None, text


def test_words_that_are_not_one_replys_own_say_nothing():
    labels = Labels("123", ("same", "Same.", "2"))
    assert [labels.read(text) for text in ("same", "2", "3 (2)")] == [None, 1, None]
    flights = Labels("12", ("flight 1", "flight 2"))
    assert [flights.read(text) for text in ("Flight 2.", "flight 1 or 2")] == [1, None]


def test_messages_are_points(build, server):
    server.answer = writing
    agent, observation = build(logprobs=False), observed()
    decision = agent.act(observation, np.zeros(3))
    best = [distribution(chat).argmax() for chat in chats(agent, observation)]
    np.testing.assert_array_equal(decision.action_probs, np.eye(5)[best])
    np.testing.assert_array_equal(decision.action, best)
    np.testing.assert_array_equal(decision.answer_mass, 1)
    assert {body["temperature"] for body in server.asked} == {0}
    assert not any("logprobs" in body for body in server.asked)


@pytest.mark.parametrize(
    ("logprobs", "answer"),
    [(False, completion("I'd rather not")), (True, completion("", {"I": 0.9, "Well": 0.1}))],
    ids=["text", "logprobs"],
)
def test_the_unparseable_is_counted_and_even(build, server, tmp_path, logprobs, answer):
    server.script(answer)
    decision = build(logprobs=logprobs).act(observed(), np.array([0.1, 0.5, 0.99]))
    np.testing.assert_array_equal(decision.action_probs, np.full((3, 5), 0.2))
    np.testing.assert_array_equal(decision.action, [0, 2, 4])
    assert usage(tmp_path)[0]["unparsed"] == usage(tmp_path)[0]["decisions"] == 3
    np.testing.assert_array_equal(decision.answer_mass, 0)


@pytest.mark.parametrize(
    ("text", "opening"),
    [("Answer: 4", "Answer"), ("**Answer:** 4", "**Answer"), ("Moderately Accurate", "Moder")],
)
def test_where_no_reply_opens_a_message_its_text_is_read(build, server, text, opening):
    server.script(completion(text, {opening: 0.9, "I": 0.1}))
    decision = build(logprobs=True).act(observed(), np.zeros(3))
    np.testing.assert_array_equal(decision.action_probs, np.eye(5)[[3, 3, 3]])
    assert (decision.unparsed == 0).all()


def test_samples_are_frequencies_after_one_of_each(build, server, tmp_path):
    said = ("1", "1", "4", "who knows")
    server.answer = lambda body: completion(said[len(server.asked) % 4])
    agent = build(samples=4, concurrency=1)
    decision = agent.act(observed(people=2), np.zeros(2))
    expected = np.array([1 + 2 + 0.2, 1.2, 1.2, 2.2, 1.2]) / 9
    np.testing.assert_allclose(decision.action_probs, [expected, expected])
    np.testing.assert_array_equal(decision.answer_mass, 0.75)  # three of four messages were replies
    # Another seed for each message, and for another chat.
    assert len({body["seed"] for body in server.asked}) == 8
    assert {body["temperature"] for body in server.asked} == {1}
    again = build(samples=4).act(observed(people=2), np.zeros(2))
    np.testing.assert_array_equal(again.action_probs, decision.action_probs)
    assert len(server.asked) == 8
    assert usage(tmp_path)[0]["unparsed"] == 2
    # Without a seed, equal requests are still asked as often as they are needed.
    build(samples=4, extra={"seed": None}, temperature=0.7).act(observed(people=1), np.zeros(1))
    assert len(server.asked) == 12
    assert server.asked[-1]["temperature"] == 0.7


# Does the server have log-probabilities?


def without_alternatives(body: dict[str, Any]) -> Answer:
    """A server that tells the log-probability of what it wrote, and no other."""
    status, headers, content = scoring(body)
    content["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = []
    return (status, headers, content) if "logprobs" in body else writing(body)


def unwilling(body: dict[str, Any]) -> Answer:
    return (400, {}, {"error": "no logprobs here"}) if "logprobs" in body else writing(body)


@pytest.mark.parametrize(
    ("answer", "refusals"), [(writing, 1), (without_alternatives, 1), (unwilling, 2)]
)
def test_without_log_probabilities_messages_are_read(build, server, answer, refusals):
    server.answer = answer
    with pytest.warns(UserWarning, match="Messages are read as text"):
        first = build().act(observed(), np.zeros(3))
    assert set(first.action_probs.ravel()) == {0.0, 1.0}
    assert ["logprobs" in body for body in server.asked] == [False] * 3
    assert ["logprobs" in body for body in server.greetings] == [*[True] * refusals, False]
    with pytest.warns(UserWarning, match="Messages are read as text"):
        again = build().act(observed(), np.zeros(3))
    np.testing.assert_array_equal(again.action_probs, first.action_probs)
    assert len(server.asked) == 3
    assert len(server.greetings) == refusals + 2  # only what it takes is asked anew


def test_log_probabilities_are_taken_where_there_are_any(build, server):
    auto = build().act(observed(), np.zeros(3))
    told = build(logprobs=True).act(observed(), np.zeros(3))
    np.testing.assert_array_equal(auto.action_probs, told.action_probs)
    assert len(server.asked) == 3


def test_missing_log_probabilities_are_an_error_where_they_were_asked_for(build, server):
    server.answer = writing
    with pytest.raises(ValueError, match="Set logprobs: false"):
        build(logprobs=True).act(observed(), np.zeros(3))
    server.answer = scoring  # and nothing of it was kept
    build(logprobs=True).act(observed(), np.zeros(3))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_other_refusals_say_nothing_about_log_probabilities(build, server, status):
    server.script((status, {}, {"error": {"message": "Who are you?"}}))
    with pytest.raises(ValueError, match=f"HTTP {status}, Who are you"):
        build().act(observed(), np.zeros(3))
    server.answer = scoring  # and nothing of it was kept
    assert build().act(observed(), np.zeros(3)).action_probs.max() < 1


def test_replies_that_begin_alike_are_not_told_apart_by_a_token(build, server, monkeypatch):
    task = type(make_task(TASK))
    monkeypatch.setattr(task, "replies", ("1", "2", "3", "4", "10"))
    with pytest.raises(ValueError, match="begin alike"):
        build(logprobs=True)
    server.answer = lambda body: completion("10")
    np.testing.assert_array_equal(build().act(observed(), np.zeros(3)).action, [4, 4, 4])
    assert "logprobs" not in server.asked[0]


# Trouble on the line.


def test_a_busy_server_is_asked_again_when_it_says(build, server, pauses, tmp_path):
    date = formatdate(time() + 30, usegmt=True)
    server.script(
        (429, {"Retry-After": "7"}, "slow down"),
        (503, {"Retry-After": date}, ""),
        (500, {"Retry-After": "soon"}, ""),
        None,
        scoring({"messages": []}),
    )
    build(logprobs=True, backoff=0.5).act(observed(people=1), np.zeros(1))
    assert pauses[0] == 7
    assert 20 < pauses[1] <= 30
    assert pauses[2:] == [2, 4]
    assert (len(server.greetings), len(server.asked)) == (5, 1)
    counted = usage(tmp_path)[0]
    assert (counted["requests"], counted["retries"]) == (2, 4)


def test_a_broken_server_is_given_up(build, server, pauses):
    server.script((500, {}, {"error": {"message": "CUDA\nout of memory."}}))
    with pytest.raises(
        ValueError, match=r"HTTP 500, CUDA out of memory\. Given up at try 4"
    ) as error:
        build(logprobs=True, retries=3, backoff=20.0).act(observed(people=1), np.zeros(1))
    assert str(error.value).startswith(f"{server.url}/chat/completions: ")
    assert "retries" in str(error.value)
    assert pauses == [20, 40, 60]
    # Once more in case that it is the system turn.
    assert [len(body["messages"]) for body in server.greetings] == [2, 2, 2, 2, 1]
    assert not server.asked


def test_nobody_waits_for_hours(build, server, pauses):
    server.script((429, {"Retry-After": "86400"}, {"error": {"message": "quota"}}))
    with pytest.raises(ValueError, match=r"quota, to be asked again in 86400 s\. Given up"):
        build(logprobs=True).act(observed(people=1), np.zeros(1))
    assert pauses == []


def test_a_server_that_says_nothing_is_given_up(build, server, pauses):
    over = threading.Event()
    server.answer = lambda body: over.wait(10) and None
    with pytest.raises(ValueError, match=r"timed out\. Given up at try 2\..*timeout=0\.02"):
        build(logprobs=True, timeout=0.02, retries=1).act(observed(people=1), np.zeros(1))
    over.set()
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"error": {"message": "Context is 8 tokens."}}, "Context is 8 tokens"),
        ({"error": "Context is 8 tokens"}, "Context is 8 tokens"),
        ({"detail": [{"msg": "Context is 8 tokens"}]}, "Context is 8 tokens"),
        ({"object": "error", "message": "Context is 8 tokens"}, "Context is 8 tokens"),
        ("Context is\n8 tokens", "Context is 8 tokens"),
        ("", "without a word"),
    ],
)
def test_what_is_refused_is_not_asked_again(build, server, content, said):
    server.script((400, {}, content))
    with pytest.raises(ValueError, match=rf"HTTP 400, .*{said}.*`extra`"):
        build(logprobs=True).act(observed(people=1), np.zeros(1))
    assert [len(body["messages"]) for body in server.greetings] == [2, 1]
    assert not server.asked


@pytest.mark.parametrize(
    "content",
    [
        "<html>Welcome</html>",
        {"message": "Welcome"},
        {"choices": [{"message": "Welcome"}], "detail": "Welcome"},
    ],
)
def test_what_is_no_completion_is_refused(build, server, content):
    server.script((200, {}, content))
    with pytest.raises(ValueError, match=r"Welcome.*base_url"):
        build(logprobs=True).act(observed(people=1), np.zeros(1))
    assert len(server.greetings) == 1


@pytest.mark.parametrize("logprob", [math.nan, 1.0, None, "low"])
def test_an_impossible_log_probability_is_refused(build, server, logprob):
    step = {"token": "1", "logprob": logprob, "top_logprobs": [{"token": "1", "logprob": logprob}]}
    choice = {"message": {"content": "1"}, "logprobs": {"content": [step]}}
    server.script((200, {}, {"choices": [choice]}))
    with pytest.raises(ValueError, match=r"no log-probabilities .* can be read"):
        build(logprobs=True).act(observed(people=1), np.zeros(1))


def test_a_redirect_is_not_followed(build, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script((302, {"Location": f"{server.url}/elsewhere"}, ""))
    with pytest.raises(ValueError, match=r"HTTP 302, without a word\. Is base_url right"):
        build(logprobs=True).act(observed(people=1), np.zeros(1))
    assert len(server.greetings) == 1


def test_a_missing_server_is_one_line(build, server):
    with pytest.raises(ValueError, match=r"refused. Given up at try 2. Is the server running") as e:
        build(base_url="http://127.0.0.1:9/v1", retries=1).act(observed(), np.zeros(3))
    assert "\n" not in str(e.value)


# Servers that do otherwise than OpenAI's, each in its way.


def changed(answer: Answer, change: Callable[[dict[str, Any]], Any]) -> Answer:
    """The answer, after something happened to its one choice."""
    assert answer is not None
    change(answer[2]["choices"][0])
    return answer


def of_log_probs(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Answer]:
    """A server that gives log-probabilities in a form of its own, and text without them."""
    return lambda body: changed(scoring(body), change) if "logprobs" in body else writing(body)


def first(choice: dict[str, Any]) -> dict[str, Any]:
    return choice["logprobs"]["content"][0]


def each(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """The same change of the token that was written and of all its alternatives."""

    def of_choice(choice: dict[str, Any]) -> None:
        for entry in (first(choice), *first(choice)["top_logprobs"]):
            change(entry)

    return of_choice


def refusing(reason: str, status: int, *fields: str, system: bool = False) -> Any:
    """A server that refuses requests with one of these fields, or with a system turn."""

    def answer(body: dict[str, Any]) -> Answer:
        if any(field in body for field in fields) or (
            system and body["messages"][0]["role"] == "system"
        ):
            return status, {}, {"error": {"message": reason}}
        return scoring(body) if "logprobs" in body else writing(body)

    return answer


def capped(reason: str) -> Any:
    def answer(body: dict[str, Any]) -> Answer:
        if body.get("top_logprobs", 0) > 5:
            return 400, {}, {"error": {"message": reason.format(**body)}}
        return scoring(body)

    return answer


def everything(body: dict[str, Any]) -> Answer:
    """A server that takes neither a system turn, nor log-probabilities, nor max_tokens."""
    for field in ("logprobs", "max_tokens"):
        if field in body:
            return 400, {}, f"{field} is not supported, max_completion_tokens is"
    joined = body["messages"][0]["role"] == "user"
    return writing(body) if joined else (400, {}, "Only user and assistant roles are supported!")


READ_AS_TEXT = {
    "null": of_log_probs(lambda choice: choice.update(logprobs=None)),
    "absent": of_log_probs(lambda choice: choice.pop("logprobs")),
    "list": of_log_probs(lambda choice: choice.update(logprobs=[-0.1, -0.2])),
    "list of tokens": of_log_probs(lambda choice: choice.update(logprobs=[first(choice)])),
    "text": of_log_probs(lambda choice: choice.update(logprobs="none")),
    "empty": of_log_probs(lambda choice: choice.update(logprobs={})),
    "content null": of_log_probs(lambda choice: choice["logprobs"].update(content=None)),
    "completions": of_log_probs(
        lambda choice: choice.update(logprobs={"tokens": ["1"], "token_logprobs": [-0.1]})
    ),
    "alternatives null": of_log_probs(lambda choice: first(choice).update(top_logprobs=None)),
    "alternatives absent": of_log_probs(lambda choice: first(choice).pop("top_logprobs")),
    "alternatives empty": of_log_probs(lambda choice: first(choice).update(top_logprobs=[])),
    "alternatives a table": of_log_probs(
        lambda choice: first(choice).update(top_logprobs={"1": 0})
    ),
    "one null": of_log_probs(lambda choice: first(choice)["top_logprobs"][2].update(logprob=None)),
    "one a word": of_log_probs(lambda choice: first(choice)["top_logprobs"][2].update(logprob="x")),
    "own null": of_log_probs(lambda choice: first(choice).update(logprob=None)),
    "token ids": of_log_probs(each(lambda entry: entry.update(token="token_id:17"))),
    "token ids twice": of_log_probs(
        each(lambda entry: entry.update(token="token_id:17", bytes=[*b"token_id:17"]))
    ),
    "no tokens": of_log_probs(each(lambda entry: entry.pop("token"))),
    "no logprobs": refusing("logprobs are not supported", 400, "logprobs"),
    "unprocessable": refusing("Extra inputs are not permitted", 422, "logprobs"),
    "crash": refusing("Internal Server Error", 500, "logprobs"),
    "not implemented": refusing("Not Implemented", 501, "logprobs"),
    "no endpoint": refusing("No endpoints found that support this", 404, "logprobs"),
    "inside 200": lambda body: (
        (200, {}, {"error": {"code": 400, "message": "no logprobs"}, "choices": []})
        if "logprobs" in body
        else writing(body)
    ),
    "everything": everything,
}
SCORED = {
    "system": refusing("System role not supported", 400, system=True),
    "system, inside 200": lambda body: (
        (200, {}, {"error": {"code": 422, "message": "roles must alternate"}})
        if body["messages"][0]["role"] == "system"
        else scoring(body)
    ),
    "system crash": refusing("Jinja Exception: System role not supported", 500, system=True),
    "tokens": refusing("Unsupported: 'max_tokens'. Use 'max_completion_tokens'", 400, "max_tokens"),
    "tokens, system": refusing(
        "Use max_completion_tokens, no system", 400, "max_tokens", system=True
    ),
    "at most 5": capped("logprobs must be at most 5"),
    "vllm": capped(
        "Requested sample logprobs of {top_logprobs}, which is greater than max allowed: 5"
    ),
    "between": capped("Invalid 'top_logprobs': expected 0 to 5, got {top_logprobs}"),
    "bytes": of_log_probs(each(lambda entry: entry.update(bytes=[*entry.pop("token").encode()]))),
    "bytes of ids": of_log_probs(
        each(lambda entry: entry.update(bytes=[*entry["token"].encode()], token="token_id:17"))
    ),
    "null token": of_log_probs(
        each(lambda entry: entry.update(bytes=[*entry["token"].encode()], token=None))
    ),
    "sentencepiece": of_log_probs(
        each(lambda entry: entry.update(token="\u2581" + entry["token"]))
    ),
    "byte level": of_log_probs(each(lambda entry: entry.update(token="\u0120" + entry["token"]))),
    "bold": of_log_probs(each(lambda entry: entry.update(token="**" + entry["token"]))),
}


@pytest.mark.filterwarnings("ignore:.*(read as text|alternatives to a token)")
@pytest.mark.parametrize("way", [*READ_AS_TEXT, *SCORED])
def test_a_server_is_asked_as_it_wants_to_be(build, server, pauses, way):
    server.answer = {**READ_AS_TEXT, **SCORED}[way]
    agent, observation = build(), observed()
    decision = agent.act(observation, np.zeros(3))
    sent = chats(agent, observation)
    if "system" in way or way == "everything":
        sent = [without_system(chat) for chat in sent]
        assert sent[0][0]["content"].startswith("A person is filling in")
    key = json.dumps
    assert sorted(key(body["messages"]) for body in server.asked) == sorted(map(key, sent))
    assert {body.get("top_logprobs", 0) for body in server.asked} == {
        0 if way in READ_AS_TEXT else 5 if server.answer.__qualname__.startswith("capped") else 20
    }
    limited = [body.keys() & {"max_tokens", "max_completion_tokens"} for body in server.asked]
    new = "tokens" in way.split(", ") or way == "everything"
    assert limited == [{"max_completion_tokens" if new else "max_tokens"}] * 3
    likely = [distribution(chat) for chat in sent]
    points = way in READ_AS_TEXT
    expected = [np.eye(5)[p.argmax()] if points else p / p.sum() for p in likely]
    np.testing.assert_allclose(decision.action_probs, expected, rtol=1e-9)
    assert (decision.unparsed == 0).all()
    greetings = len(server.greetings)
    again = build().act(observation, np.zeros(3))
    np.testing.assert_array_equal(again.action_probs, decision.action_probs)
    # The way is remembered; who is there is asked again.
    assert (len(server.greetings), len(server.asked)) == (greetings + 1, 3)


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "4"}],
        [{"text": "4"}],
        [{"type": "output_text", "text": "Answer: "}, {"type": "output_text", "text": "4"}],
        ["Answer: ", "4"],
        {"type": "text", "text": "4"},
        [{"type": "thinking", "thinking": "3?", "text": "3"}, {"type": "text", "text": "4"}],
        [{"type": "image_url", "image_url": {"url": "3"}}, {"type": "text", "text": "4"}],
    ],
)
def test_content_may_be_a_list_of_parts(build, server, content):
    status, headers, answer = completion("")
    answer["choices"][0]["message"]["content"] = content
    server.script((status, headers, answer))
    agent = build(logprobs=False)
    decision = agent.act(observed(), np.zeros(3))
    np.testing.assert_array_equal(decision.action, [3, 3, 3])
    assert agent.messages(observed())[0] in (["4"], ["Answer: 4"])


@pytest.mark.parametrize(
    "content",
    [None, "", [], [{"type": "refusal", "refusal": "4", "text": "4"}], [{"type": "text"}]],
)
def test_a_message_without_text_is_none(build, server, content):
    status, headers, answer = completion("")
    answer["choices"][0]["message"] = {"content": content, "refusal": "I can't answer 4 questions"}
    server.script((status, headers, answer))
    agent = build(logprobs=False)
    np.testing.assert_array_equal(agent.act(observed(), np.zeros(3)).unparsed, [1, 1, 1])
    assert agent.usage()["unparsed"] == 3


TEMPORARY = [
    {"error": {"code": 429, "message": "Slow down"}},
    {"error": {"code": "429", "message": "Slow down"}},
    {"error": {"code": "overloaded", "status": 503, "message": "Slow down"}},
    {"error": {"type": "server_error", "message": "Slow down"}},
    {"error": "Slow down"},
    {"object": "error", "message": "Slow down", "code": 503},
    {"choices": None, "error": {"code": 502, "message": "Slow down"}},
    {"choices": None},
    {"choices": []},
    {"choices": [{"error": {"code": 502, "message": "Slow down"}, "message": {"content": ""}}]},
]


@pytest.mark.parametrize("content", TEMPORARY)
def test_an_error_inside_200_is_retried(build, server, pauses, content):
    error, good = (200, {"Retry-After": "3"}, content), writing({"messages": []})
    server.script(good, error, error, good)
    agent = build(logprobs=False, concurrency=1)
    np.testing.assert_array_equal(agent.act(observed(people=1), np.zeros(1)).unparsed, [0])
    assert pauses == [3, 3]
    assert (len(server.greetings), len(server.asked)) == (1, 3)
    assert agent.usage()["retries"] == 2
    server.script((200, {}, content))
    with pytest.raises(OutsideError, match=r"HTTP [45]\d\d, .*Given up at try 2\..* goes on"):
        build(logprobs=False, retries=1, max_tokens=9).act(observed(people=1), np.zeros(1))


def test_a_lasting_error_inside_200_is_not_retried(build, server, pauses):
    server.script((200, {}, {"error": {"code": 401, "message": "No such key"}}))
    with pytest.raises(OutsideError, match=r"HTTP 401, No such key\. The key is read from"):
        build().act(observed(people=1), np.zeros(1))
    assert (len(server.greetings), pauses) == (1, [])


def test_a_refusal_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(RefusedError("no logprobs", 422, "no")))
    assert (str(error), error.status, error.words) == ("no logprobs", 422, "no")


# Who answers.


def named(model: str, fingerprint: str | None = None) -> Callable[[dict[str, Any]], Answer]:
    """A server of this model, the words of which depend on it."""

    def answer(body: dict[str, Any]) -> Answer:
        content = completion(str(1 + len(model) % 5))
        assert content is not None
        content[2].update(model=model, system_fingerprint=fingerprint)
        return content

    return answer


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (("a", "x"), ("bb", "y"), "'bb', system_fingerprint 'y', .* 'a', system_fingerprint 'x'"),
        (("a", "x"), ("a", "y"), "model 'a', system_fingerprint 'y', .* system_fingerprint 'x'"),
        (("a", "x"), ("a", None), "model 'a', one that .* model 'a', system_fingerprint 'x'"),
        (("a", None), ("bb", None), "model 'bb', one that is kept from before is of model 'a'"),
    ],
)
def test_answers_of_another_model_are_not_passed_off(build, server, was, now, said):
    server.answer = named(*was)
    agent = build(logprobs=False)
    first = agent.act(observed(), np.zeros(3))
    assert agent.model_info() == {
        key: name for key, name in zip(("model", "system_fingerprint"), was, strict=True) if name
    }
    server.answer = named(*now)
    with pytest.raises(AnotherModelError, match=f"{said}.*--fresh"):
        build(logprobs=False).act(observed(), np.zeros(3))
    with pytest.raises(AnotherModelError, match=r"just came.*--fresh"):
        agent.act(observed(turn=3), np.zeros(3))
    asked = len(server.asked)
    ApiAgent.start_afresh({"model": "served", "base_url": server.url, "cache": agent_cache(build)})
    second = build(logprobs=False).act(observed(), np.zeros(3))
    assert len(server.asked) == asked + 3
    same = was[0] == now[0]
    assert np.array_equal(first.action_probs, second.action_probs) == same
    third = build(logprobs=False).act(observed(), np.zeros(3))
    assert len(server.asked) == asked + 3
    np.testing.assert_array_equal(third.action_probs, second.action_probs)


def agent_cache(build: Callable[..., ApiAgent]) -> str:
    """The folder that `build` gives its agents."""
    return str(build()._server._cache.folder.parent.parent.parent)


def test_fingerprints_may_be_left_alone(build, server):
    names = iter("xyzxyzxyz")
    server.answer = lambda body: named("a", next(names))(body)
    agent = build(logprobs=False, check_fingerprint=False)
    agent.act(observed(), np.zeros(3))
    assert agent.model_info() == {"model": "a"}
    server.answer = named("bb", "x")
    with pytest.raises(AnotherModelError):
        build(logprobs=False, check_fingerprint=False).act(observed(), np.zeros(3))


def test_what_is_kept_is_used_where_the_server_is_gone(build, server, pauses):
    server.answer = named("a")
    first = build(logprobs=False).act(observed(), np.zeros(3))
    server.script((503, {}, "closed"))
    agent = build(logprobs=False)
    with pytest.warns(UserWarning, match=r"What is kept is used, of model 'a'\. .*closed"):
        again = agent.act(observed(), np.zeros(3))
    np.testing.assert_array_equal(again.action_probs, first.action_probs)
    assert agent.model_info() == {"model": "a"}
    server.answer = named("bb")
    with pytest.raises(AnotherModelError, match="'a', one that just came is of model 'bb'"):
        agent.act(observed(turn=3), np.zeros(3))


def test_a_server_that_refuses_what_was_answered_before_is_another(build, server):
    server.answer = named("a")
    first = build(logprobs=False).act(observed(), np.zeros(3))
    server.answer = refusing("System role not supported", 400, system=True)
    with pytest.raises(AnotherModelError, match=r"model 'a', .* now, System role.*--fresh"):
        build(logprobs=False).act(observed(), np.zeros(3))
    # Without a key nothing can be asked, but what was answered can be read.
    server.script((401, {}, "no key"))
    with pytest.warns(UserWarning, match=r"What is kept is used, of model 'a'\. .*no key"):
        again = build(logprobs=False).act(observed(), np.zeros(3))
    np.testing.assert_array_equal(again.action_probs, first.action_probs)


def test_a_run_says_who_answered_and_fresh_asks_the_new_one(server, tmp_path, capsys, no_plots):
    own = tmp_path / "served.yaml"
    own.write_text(
        f"agent: acquaint_gym.agents.api:ApiAgent\nmodel: default\nbase_url: {server.url}\n"
        f"cache: {tmp_path / 'cache'}\nlogprobs: false\nprice_in: 1.0\n",
        "utf-8",
    )
    command = ["--agent", str(own), "--set", "num_turns=2", "--users", "3", "--out"]
    server.answer = named("a", "x")
    assert main([*command, str(tmp_path / "1")]) == 0
    asked, (folder,) = len(server.asked), (tmp_path / "1" / "traces").glob("*/*")
    for out in ("1", "2"):  # more people in the same folder, and the same ones in another
        server.answer = named("bb", "y")
        capsys.readouterr()
        more = ["--users", "4"] if out == "1" else []
        assert main([*command, str(tmp_path / out), *more]) == 2
        said = capsys.readouterr().err
        assert re.search("model 'bb', system_fingerprint 'y', .* model 'a'.*--fresh", said)
    notes = Store(tmp_path / "1", json.loads((folder / "config.json").read_text("utf-8"))).notes()
    assert notes.model_info == {"model": "a", "system_fingerprint": "x"}
    assert notes.usage["requests"] == asked + 1
    assert notes.usage["cost"] == pytest.approx((asked + 1) * 100 / 1e6)
    assert main([*command, str(tmp_path / "2"), "--fresh"]) == 0
    assert len(server.asked) == 2 * asked
    # An interrupted run goes on without the option, and asks nothing twice.
    assert main([*command, str(tmp_path / "3")]) == 0
    assert len(server.asked) == 2 * asked
    capsys.readouterr()


# The key.


def test_the_key_is_sent_and_kept_nowhere(build, server, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    agent = build(logprobs=True, key_variable="MY_KEY")
    agent.act(observed(), np.zeros(3))
    assert set(server.keys) == {f"Bearer {KEY}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 5
    assert not any(KEY in file.read_text("utf-8") for file in files)
    build(logprobs=True, cache=str(tmp_path / "other")).act(observed(), np.zeros(3))
    assert server.keys[-1] is None


def test_a_wrong_key_is_one_line_without_the_key(build, server, monkeypatch):
    server.script((401, {}, {"error": {"message": f"Incorrect API key: {KEY}"}}))
    agent = build(logprobs=True, key_variable="MY_KEY")
    with pytest.raises(ValueError, match="from the variable MY_KEY, which is not set"):
        agent.act(observed(), np.zeros(3))
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(ValueError, match="from the variable MY_KEY, which is set") as error:
        agent.act(observed(), np.zeros(3))
    assert "Incorrect API key: [key]. The key" in str(error.value)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}ö"])
def test_a_key_that_cannot_be_sent_is_not_shown(build, server, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match="OPENAI_API_KEY: holds characters") as error:
        build(logprobs=True).act(observed(), np.zeros(3))
    assert KEY not in str(error.value)


# The cache, and what it is all worth.


def test_a_second_run_asks_nothing_but_who_is_there(build, server, tmp_path):
    prices = {"price_in": 2.0, "price_out": 10.0}
    agents = [build(logprobs=True, **prices) for _ in range(2)]
    first, again = (agent.act(observed(), np.zeros(3)) for agent in agents)
    assert (len(server.greetings), len(server.asked)) == (2, 3)
    np.testing.assert_array_equal(again.action_probs, first.action_probs)
    np.testing.assert_array_equal(again.action, first.action)
    asked, kept = usage(tmp_path)
    assert asked == {
        "model": "served",
        "url": f"{server.url}/chat/completions",
        "decisions": 3,
        "unparsed": 0,
        "requests": 4,
        "from_cache": 0,
        "retries": 0,
        "prompt_tokens": 400,
        "completion_tokens": 8,
        "without_usage": 0,
        "cost": pytest.approx((400 * 2 + 8 * 10) / 1e6),
    }
    assert (kept["requests"], kept["from_cache"], kept["cost"]) == (1, 3, asked["cost"] / 4)
    assert {**kept, **agents[1].usage()} == kept
    assert not list(tmp_path.rglob("*.partial"))


def test_every_part_of_a_request_counts(build, server):
    changes = [{}, {"temperature": 0.5}, {"max_tokens": 9}, {"extra": {"min_p": 0}}]
    for number, change in enumerate(changes, start=1):
        build(logprobs=True, **change).act(observed(people=1), np.zeros(1))
        assert len(server.asked) == number
    build(logprobs=True, extra={"max_tokens": None, "max_completion_tokens": 8}).act(
        observed(people=1), np.zeros(1)
    )
    assert "max_tokens" not in server.asked[-1]
    assert server.asked[-1]["max_completion_tokens"] == 8
    # How it is asked does not.
    build(logprobs=True, concurrency=1, timeout=9.0, price_in=1.0).act(
        observed(people=1), np.zeros(1)
    )
    assert len(server.asked) == 5


def test_equal_transcripts_are_asked_once(build, server):
    shown = observed(people=1).rows(np.zeros(6, dtype=np.int64))
    decision = build(logprobs=True).act(shown, np.zeros(6))
    assert len(server.asked) == 1
    assert len(np.unique(decision.action_probs, axis=0)) == 1


def test_a_server_that_does_not_count_tokens_is_counted(build, server, tmp_path):
    status, headers, content = scoring({"messages": []})
    del content["usage"]
    server.script((status, headers, content))
    build(logprobs=True).act(observed(), np.zeros(3))
    assert usage(tmp_path)[0]["without_usage"] == 4


def test_what_was_answered_before_an_error_is_kept_and_counted(build, server, tmp_path):
    good = scoring({"messages": []})
    server.script(good, good, good, (400, {}, "no more"))
    agent = build(logprobs=True, concurrency=1)
    with pytest.raises(ValueError, match="no more"):
        agent.act(observed(), np.zeros(3))
    assert usage(tmp_path)[0]["requests"] == 3
    server.script(good)
    agent.act(observed(), np.zeros(3))
    assert len(server.asked) == 4


@pytest.mark.parametrize("content", ["", '{"choices": [', "[]", "{}", '{"choices": []}'])
def test_a_damaged_answer_is_an_error(build, server, tmp_path, content):
    build(logprobs=True, concurrency=1).act(observed(), np.zeros(3))
    files = (tmp_path / "cache").glob("chat/completions/served/[0-9a-f][0-9a-f]/*.json")
    file = max(files, key=lambda file: file.stat().st_mtime_ns)  # the first answers the greeting
    file.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=re.escape(str(file)) + ": damaged.*Delete it"):
        build(logprobs=True).act(observed(), np.zeros(3))
    file.unlink()
    build(logprobs=True).act(observed(), np.zeros(3))
    assert len(server.asked) == 4


def test_the_first_of_two_answers_stays(tmp_path):
    cache = AnswerCache(str(tmp_path), "served", "http://here")
    for text in ("1", "2"):  # as two processes that asked the same at a time
        answer = completion(text)
        assert answer is not None
        cache.keep("abc", answer[2])
    assert cache.load("abc").text == "1"


def test_a_cache_that_cannot_be_made_is_an_error(build, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ValueError, match=r"cache=.*cannot make"):
        build(cache=str(tmp_path / "file"))


def test_neither_batches_nor_threads_matter(build, server, tmp_path):
    observation, uniform = observed(people=12), np.zeros(12)
    one = build(logprobs=True, concurrency=1, cache=str(tmp_path / "1")).act(observation, uniform)
    many = build(logprobs=True, concurrency=8, cache=str(tmp_path / "8"))
    together = many.act(observation, uniform)
    np.testing.assert_array_equal(one.action_probs, together.action_probs)
    apart = build(logprobs=True, cache=str(tmp_path / "batches"))
    for rows in (slice(0, 5), slice(5, 12)):
        part = apart.act(observation.rows(rows), uniform[rows])
        np.testing.assert_array_equal(part.action_probs, one.action_probs[rows])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("answer", [scoring, writing])
def test_contract(server, tmp_path, check, answer):
    server.answer = answer

    def make_agent(task: Any) -> ApiAgent:
        logprobs = answer is scoring
        return ApiAgent(task, "served", server.url, logprobs=logprobs, cache=str(tmp_path))

    check(make_agent, "acquaint/Questionnaire-v0", num_turns=3)


# Arguments, and the command line.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"logprobs": "maybe"}, "logprobs='maybe'; expected true, false or auto"),
        ({"extra": "min_p"}, "extra='min_p'; expected a mapping"),
        ({"samples": 0}, "samples=0; expected at least 1"),
        ({"samples": 2, "logprobs": True}, "samples=2 are for reading"),
        ({"concurrency": 0}, "concurrency=0; expected at least 1"),
        ({"retries": -1}, "retries=-1; expected at least 0"),
        ({"timeout": 0.0}, "timeout=0.0; expected at least 0.001"),
        ({"base_url": "localhost:8000/v1"}, "base_url='localhost:8000/v1'; expected e.g. http"),
        ({"base_url": "https://me:word@host/v1"}, "expected e.g. http"),
    ],
)
def test_bad_arguments_are_refused(build, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**arguments)


def test_a_yaml_file_is_all_it_takes(server, tmp_path, capsys, no_plots):
    own, out = tmp_path / "served.yaml", tmp_path / "out"
    own.write_text(
        f"agent: acquaint_gym.agents.api:ApiAgent\nmodel: served\nbase_url: {server.url}\n"
        f"cache: {tmp_path / 'cache'}\nextra:\n  min_p: 0\n",
        "utf-8",
    )
    assert parse_agent(str(own), []).arguments["extra"] == {"min_p": 0}
    # Two batches: the folder of answers grows in between, and that is no other configuration.
    command = ["--agent", str(own), "--set", "num_turns=3", "--batch-size", "3"]
    command += ["--out", str(out), "--users"]
    assert main([*command, "6"]) == 0
    asked = len(server.asked)
    assert asked > 6
    report = (out / "report.json").read_text("utf-8")
    nll = {r["agent"]: r["mean"] for r in json.loads(report)["rows"] if r["metric"] == "nll"}
    assert nll[str(own)] > 0
    assert main([*command, "6", "--fresh"]) == 0
    assert len(server.asked) == 2 * asked
    again = json.loads((out / "report.json").read_text("utf-8"))["rows"]
    assert again == json.loads(report)["rows"]
    asked = len(server.asked)
    assert main([*command, "6", "--out", str(tmp_path / "other")]) == 0
    assert len(server.asked) == asked
    assert main([*command, "8"]) == 0
    assert len(server.asked) > asked
    capsys.readouterr()


def test_a_report_shows_the_share_of_messages_that_were_replies(server, tmp_path, capsys, no_plots):
    server.answer = lambda body: (
        completion("I cannot know.") if len(server.asked) % 4 == 0 else writing(body)
    )
    own, out = tmp_path / "served.yaml", tmp_path / "out"
    own.write_text(
        f"agent: acquaint_gym.agents.api:ApiAgent\nmodel: served\n"
        f"base_url: {server.url}\nlogprobs: false\n"
        f"cache: {tmp_path / 'cache'}\nconcurrency: 1\n",
        "utf-8",
    )
    command = ["--agent", "bayes", str(own), "--set", "num_turns=4", "--users", "8"]
    assert main([*command, "--out", str(out)]) == 0
    rows = json.loads((out / "report.json").read_text("utf-8"))["rows"]
    mass = {row["agent"]: row["mean"] for row in rows if row["metric"] == "answer_mass"}
    assert mass[str(own)] == pytest.approx(1 - usage(tmp_path)[-1]["unparsed"] / 32)
    assert 0.7 < mass[str(own)] < 0.9
    (heading,) = [line for line in capsys.readouterr().out.splitlines() if " mass" in line]
    assert f" {mass[str(own)]:.3f} " in (out / "report.md").read_text("utf-8")
    assert "mass↑" in heading


def test_a_missing_server_stops_a_run_with_one_line(server, tmp_path, capsys):
    own = tmp_path / "gone.yaml"
    own.write_text(
        "agent: acquaint_gym.agents.api:ApiAgent\nmodel: served\nbase_url: http://127.0.0.1:9/v1\n"
        f"cache: {tmp_path / 'cache'}\nretries: 1\nbackoff: 0.001\n",
        "utf-8",
    )
    assert main(["--agent", str(own), "--users", "2", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Is the server running" in said
