"""Distillation: what is read, what is asked, what is rewarded, and a few steps of it."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import rel_entr, softmax
from tiny_llm import base, naive, random_model, tokenizer
from tiny_train import SETTINGS, TURNS, examples_of, recipe, traces

from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.train.collect import main as collect
from acquaint_gym.train.distill import distill, main, plan
from acquaint_gym.train.lm.batches import ByLength, Collator, choices
from acquaint_gym.train.lm.examples import belief_examples, training_examples
from acquaint_gym.train.lm.objectives import OBJECTIVES, Choices, kl, student_choices
from acquaint_gym.train.lm.token_choices import ReplyTrie
from acquaint_gym.train.recipes import language_model
from acquaint_gym.train.recipes.language_model import Distill
from acquaint_gym.train.sources import load_sources, transcripts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return traces(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def interviews(tmp_path_factory):
    """Whose replies are numbers up to 50, in the tiny tokenizer of one or two digits and an end."""
    asking = ["--env", "acquaint/Interview-v0", "--set=num_turns=3"]
    return traces(tmp_path_factory.mktemp("interviews"), *asking, users=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


def recipe_of(folder, model, out, **given):
    settings = {"traces": str(folder), "model": str(model), "out": str(out), **given}
    return recipe(Distill, **settings)


def losses(made):
    return [line["loss"] for line in made["history"] if "loss" in line]


def weights(out):
    from safetensors.torch import load_file

    return load_file(out / "adapter_model.safetensors")


# What is read.


def test_positions_are_those_of_every_turn_encoded_by_itself(folder):
    [source] = load_sources([str(folder)])
    dialogue, observation = Dialogue(tokenizer(), "tiny"), transcripts(source)
    for row, example in enumerate(training_examples(source, dialogue)):
        assert len(example.positions) == TURNS
        for turn in range(TURNS):
            past = observation.at(np.full(observation.num_people, turn), source.task)
            messages = source.task.prompt(past.person(row))
            alone = dialogue.encode(messages).ids
            assert example.positions[turn] == len(alone) - 1
            assert example.ids[: len(alone)].tolist() == alone
            if turn:
                [said] = example.replies.tokens[example.given[turn - 1]]
                assert example.ids[example.positions[turn - 1] + 1] == said
        assert len(example.ids) == example.positions[-1] + 1  # nothing follows that nobody predicts


@pytest.mark.parametrize(
    "arguments",
    [
        ["--env", "acquaint/FlightChoice-v0"],
        ["--env", "acquaint/FlightChoice-v0", "--set", "feedback=accept"],
        ["--env", "acquaint/FlightChoice-v0", "--set", "feedback=accept",
         "--set", "quirks=skepticism:0.5"],
        ["--env", "acquaint/Questionnaire-v0", "--set", "num_turns=8",
         "--set", "quirks=impatience:0.3"],
        ["--env", "acquaint/Questionnaire-v0", "--set", "num_turns=4",
         "--set", "reward=log_score", "--set", "context=acquaint/FlightChoice-v0:2"]
    ],
    ids=["choice", "accept", "sceptical", "impatient", "stated"],
)  # fmt: skip
def test_transcripts_are_those_of_the_environment(arguments, tmp_path):
    if "context=acquaint/FlightChoice-v0:2" in arguments:
        arguments = [*arguments[:-1], "context=acquaint/Flights-v0:2"]
    [source] = load_sources([str(traces(tmp_path, *arguments, users=5))])
    trace, task = source.run.trace, source.task
    users = Simulator(task, "train", 0).draw(trace.person)
    told = transcripts(source)
    assert np.array_equal(users.answers, trace.answers)
    shown = task.feedback_of(
        trace.actions.astype(int), trace.answers.astype(int), users.would_accept
    )
    assert np.array_equal(told["answers"], np.where(trace.turn_mask, shown, -1))
    seen = example_transcripts(task, users, trace.length.astype(int))
    for key in ("turn", "stimuli", *(["context"] if task.context else [])):
        assert np.array_equal(told[key], seen[key]), key


def test_a_reply_of_several_tokens_is_said_token_by_token(interviews):
    """What the loss adds up is the log-probability that the scorer gives the whole reply."""
    net, compared = random_model().double(), 0
    for example in examples_of(interviews):
        batch = Collator(0)([[example]])
        with torch.no_grad():
            logits = net(batch["input_ids"], logits_to_keep=batch["answer_mask"]).logits
        wanted = choices(batch)
        said = student_choices(logits, wanted)
        cells = kl(said, wanted) + said.legal_nll * wanted.target.sum(1)
        turn = (wanted.begins.cumsum(0) - 1).numpy()
        # The teacher's own conversations: its choices stand in the transcript.
        assert np.array_equal(example.given, example.action)
        for number, (position, reply) in enumerate(
            zip(example.positions, example.given, strict=True)
        ):
            tokens = example.replies.tokens[reply]
            assert len(tokens) == len(str(reply + 1)) + 1 == (turn == number).sum()
            said_then = example.ids[position + 1 : position + 1 + len(tokens)].tolist()
            # Of the last reply nothing is read that predicts nothing.
            assert said_then == tokens[: len(said_then)]
            [alone] = naive(net, example.ids[: position + 1].tolist(), [tokens])
            assert cells.numpy()[turn == number].sum() == pytest.approx(-alone, abs=1e-6)
            compared += 1
        assert len(example.ids) == example.positions[-1] + len(tokens)
    assert compared == 4 * 3


def test_a_language_model_is_taught_to_ask(interviews, model, tmp_path):
    made = distill(recipe_of(interviews, model, tmp_path / "out", max_steps=15))
    first = made["history"][0]
    # Of all four people, by the base: an adapter begins as nothing.
    net, whole = random_model(), []
    for example in examples_of(interviews):
        for position, reply in zip(example.positions, example.given, strict=True):
            tokens = example.replies.tokens[reply]
            whole += [-naive(net, example.ids[: position + 1].tolist(), [tokens])[0]]
        assert (example.answer == -1).all()  # people's answers are no replies
    assert len(whole) == 4 * 3
    assert first["loss"] == pytest.approx(np.mean(whole), rel=1e-4)
    assert first["kl"] + first["elsewhere"] == pytest.approx(first["loss"], rel=1e-4)
    # What is learned is which digits begin a number, and what ends one.
    assert losses(made)[-1] < losses(made)[0] - 3


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("ce-user", r"Interview-v0: agents ask here, .*no replies to learn; take the teacher's"),
        ("reverse-kl", r"reverse-kl needs replies of one token, .* some have 3; take kl"),
    ],
)
def test_objectives_that_make_no_sense_of_asking_are_refused(
    objective, message, interviews, model, tmp_path
):
    with pytest.raises(ValueError, match=message) as no:
        distill(recipe_of(interviews, model, tmp_path / "out", objective=objective))
    assert "\n" not in str(no.value)
    assert not (tmp_path / "out").exists()


def test_questions_are_those_of_the_probe(folder):
    [source] = load_sources([str(folder)])
    dialogue = Dialogue(tokenizer(), "tiny")
    rng = np.random.default_rng(0)
    groups = list(belief_examples(source, dialogue, 3, rng))
    assert [len(group) for group in groups] == [3] * 8
    asked: list[list[int]] = []

    class Listening:
        def score(self, conversations, replies):
            asked.extend(list(ids) for ids in conversations)
            return np.zeros((len(conversations), len(replies)))

    agent = ChoiceAgent(source.task, dialogue, Listening(), probe="levels")
    told = transcripts(source)
    for turn in range(TURNS + 1):
        agent.believe(told.at(np.full(8, turn), source.task))
    heard = {tuple(ids) for ids in asked}
    for row, group in enumerate(groups):
        for example in group:
            assert tuple(example.ids.tolist()) in heard
            assert example.positions.tolist() == [len(example.ids) - 1]
            assert example.asks_belief
            every = source.run.trace.belief[row].reshape(-1, 5)
            assert np.abs(every - example.target[0]).max(axis=1).min() < 1e-6
    again = list(belief_examples(source, dialogue, 3, np.random.default_rng(0)))
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(groups[3], again[3], strict=True))


def test_a_level_of_several_tokens_is_asked_for_along_the_most_probable_one(folder):
    class Spelling(Dialogue):
        def replies(self, texts):
            return [[reply, 1, 2] for [reply] in super().replies(texts)]

    [source] = load_sources([str(folder)])
    spelled, plain = (
        list(belief_examples(source, kind(tokenizer(), "tiny"), 1, np.random.default_rng(0)))
        for kind in (Spelling, Dialogue)
    )
    for [long], [short] in zip(spelled, plain, strict=True):
        most = long.target[0].argmax()
        assert long.ids.tolist() == [*short.ids.tolist(), short.replies.tokens[most][0], 1]
        steps = long.replies.choices(long)
        assert steps.positions.tolist() == [long.positions[0] + n for n in range(3)]
        assert steps.target[1:].sum(axis=1) == pytest.approx(long.target[0, most])


# Batches.


def test_the_collator_pads_what_no_position_sees(folder):
    some = examples_of(folder)
    shorter = [
        example._replace(
            ids=example.ids[: example.positions[turn] + 1],
            positions=example.positions[: turn + 1],
            given=example.given[: turn + 1],
            legal=example.legal[: turn + 1],
            target=example.target[: turn + 1],
            action=example.action[: turn + 1],
            answer=example.answer[: turn + 1],
        )
        for example, turn in zip(some, (3, 2, 0, 1), strict=False)
    ]  # fmt: skip
    batch = Collator(pad=7)([[example] for example in shorter])
    wanted, mask = choices(batch), batch["answer_mask"]
    assert batch["input_ids"].shape == mask.shape == (4, max(len(s.ids) for s in shorter))
    assert mask.sum(1).tolist() == [4, 3, 1, 2]
    assert wanted.weight.tolist() == [1.0] * 10
    net, at = random_model().double(), 0
    with torch.no_grad():
        logits = net(batch["input_ids"], logits_to_keep=mask).logits
    said = student_choices(logits, wanted)
    divergence = kl(said, wanted)
    for example in shorter:
        replies = example.replies.tokens
        for turn, position in enumerate(example.positions):
            alone = naive(net, example.ids[: position + 1].tolist(), replies)
            assert (said.log_probs[at] - said.legal_nll[at]).numpy() == pytest.approx(
                alone, abs=1e-9
            )
            brute = rel_entr(example.target[turn].astype(float), softmax(alone)).sum()
            assert divergence[at].item() == pytest.approx(brute, abs=1e-9)
            at += 1
    assert at == len(logits)


def test_fewer_options_than_others_in_a_batch_are_not_legal_beyond(folder):
    example = examples_of(folder)[0]
    three = example._replace(
        replies=ReplyTrie(example.replies.tokens[:3]),
        given=example.given % 3,
        action=example.action % 3,
        answer=example.answer % 3,
        legal=example.legal[:, :3],
        target=example.target[:, :3] / example.target[:, :3].sum(1, keepdims=True),
    )
    alone = Collator(0)([[three]])
    batch = Collator(0)([[example], [three]])
    assert batch["legal"][TURNS:].tolist() == [[True] * 3 + [False] * 2] * TURNS
    torch.manual_seed(0)
    logits = torch.randn(2 * TURNS, len(tokenizer()))
    for name in ("kl", "reverse-kl"):
        both = OBJECTIVES[name](student_choices(logits, choices(batch)), choices(batch))[TURNS:]
        own = OBJECTIVES[name](student_choices(logits[TURNS:], choices(alone)), choices(alone))
        assert torch.allclose(both, own, atol=1e-6)


def test_a_persons_questions_weigh_as_much_as_their_replies(folder):
    [source] = load_sources([str(folder)])
    dialogue = Dialogue(tokenizer(), "tiny")
    asked = belief_examples(source, dialogue, 2, np.random.default_rng(0))
    groups = [[a, *b] for a, b in zip(training_examples(source, dialogue), asked, strict=True)][:3]
    batch = Collator(0, belief_weight=0.5)(groups)
    assert batch["asks_belief"].sum() == 6
    assert batch["weight"][batch["asks_belief"]].tolist() == [0.5 * TURNS / 2] * 6
    assert batch["weight"][~batch["asks_belief"]].tolist() == [1.0] * 3 * TURNS


def test_neighbours_are_of_similar_length_and_the_order_is_that_of_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(10, 1000, 1003)
    sampler = ByLength(lengths, 8, seed=3)
    first = list(sampler)
    assert sorted(first) == list(range(1003))
    assert list(ByLength(lengths, 8, seed=3)) == first
    assert list(ByLength(lengths, 8, seed=4)) != first
    sampler.set_epoch(1)
    assert list(sampler) != first
    batches = [lengths[first[at : at + 8]] for at in range(0, 1000, 8)]
    padded = sum(batch.max() * len(batch) for batch in batches)
    assert padded < 1.05 * sum(batch.sum() for batch in batches)
    assert np.corrcoef(np.arange(125), [batch.mean() for batch in batches])[0, 1] < 0.3


# Objectives, by hand: two replies of four tokens.


def toy(target=((0.8, 0.2),), dtype=torch.float64):
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0]], dtype=dtype, requires_grad=True)
    known = Choices(
        options=torch.tensor([[2, 1]]),
        legal=torch.ones(1, 2, dtype=torch.bool),
        target=torch.tensor(target),
        action=torch.tensor([0]),
        answer=torch.tensor([1]),
        weight=torch.ones(1),
        asks_belief=torch.zeros(1, dtype=torch.bool),
        begins=torch.ones(1, dtype=torch.bool),
    )
    return logits, known


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_are_what_they_are_by_hand(name):
    logits, known = toy()
    student = softmax([0.5, 2.0])
    teacher = known.target[0].double().numpy()
    expected = {
        "kl": rel_entr(teacher, student).sum(),
        "kl+belief": rel_entr(teacher, student).sum(),
        "reverse-kl": rel_entr(student, teacher).sum(),
        "ce-teacher": -np.log(student[0]),
        "ce-user": -np.log(student[1]),
    }
    said = student_choices(logits, known)
    assert OBJECTIVES[name](said, known).item() == pytest.approx(expected[name], abs=1e-12)
    mass = softmax([1, 2, 0.5, -1])[[1, 2]].sum()
    assert said.legal_nll.item() == pytest.approx(-np.log(mass), abs=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_objective_moves_replies_only_and_the_mass_moves_all_tokens(name):
    logits, known = toy()
    OBJECTIVES[name](student_choices(logits, known), known).sum().backward()
    assert logits.grad[0, [0, 3]].tolist() == [0, 0]
    assert logits.grad[0, 1] == pytest.approx(-logits.grad[0, 2])
    assert logits.grad[0, 1].abs() > 0.01
    logits, known = toy()
    student_choices(logits, known).legal_nll.sum().backward()
    assert (logits.grad[0, [0, 3]] > 0).all()
    assert (logits.grad[0, [1, 2]] < 0).all()


def test_the_command_knows_the_objectives_without_torch():
    assert tuple(OBJECTIVES) == language_model.OBJECTIVES


def test_with_weight_one_the_sum_is_the_cross_entropy_minus_the_teachers_entropy():
    logits, known = toy()
    said, target = student_choices(logits, known), known.target.double()
    whole = logits.log_softmax(1).gather(1, known.options)
    cross_entropy = -(target * whole).sum()
    entropy = -(target * target.log()).sum()
    assert (kl(said, known) + said.legal_nll).item() == pytest.approx(
        (cross_entropy - entropy).item()
    )


def test_a_reply_that_is_not_legal_gets_nothing_and_gives_nothing():
    for name, objective in OBJECTIVES.items():
        logits, known = toy(target=((1.0, 0.0),))
        known = known._replace(legal=torch.tensor([[True, False]]), answer=torch.tensor([0]))
        said = student_choices(logits, known)
        objective(said, known).sum().backward()
        assert objective(said, known).item() == pytest.approx(0, abs=1e-7), name
        assert torch.isfinite(logits.grad).all(), name


def test_a_teacher_who_is_certain_costs_reverse_kl_no_infinity():
    logits, known = toy(target=((1.0, 0.0),))
    OBJECTIVES["reverse-kl"](student_choices(logits, known), known).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_kl_of_a_model_is_that_of_the_loop(folder):
    """The loss on the teacher's transcripts, against the agent's decisions on the same."""
    [source] = load_sources([str(folder)])
    dialogue, net = Dialogue(tokenizer(), "tiny"), random_model()
    agent = ChoiceAgent(source.task, dialogue, HuggingFaceScorer(net))
    told, teacher = transcripts(source), source.run.trace.teacher_probs
    cells = np.empty((8, TURNS))
    mass = np.empty((8, TURNS))
    for turn in range(TURNS):
        decision = agent.act(told.at(np.full(8, turn), source.task), np.zeros(8))
        cells[:, turn] = rel_entr(teacher[:, turn], decision.action_probs).sum(1)
        mass[:, turn] = decision.answer_mass
    batch = Collator(0)([[example] for example in training_examples(source, dialogue)])
    with torch.no_grad():
        whole = net(batch["input_ids"]).logits[batch["answer_mask"]]
        kept = net(batch["input_ids"], logits_to_keep=batch["answer_mask"]).logits
    assert torch.allclose(whole, kept, atol=1e-5)
    said = student_choices(kept, choices(batch))
    assert kl(said, choices(batch)).numpy() == pytest.approx(cells.ravel(), abs=1e-5)
    assert said.legal_nll.numpy() == pytest.approx(-np.log(mass.ravel()), abs=1e-4)


# A few steps.


def test_a_little_of_the_teachers_choice_is_added(folder, model, tmp_path):
    """The loss of the first update, when the student is still the base, with all eight people."""
    settings = {"per_device_train_batch_size": 8, "max_steps": 1}
    first = [
        losses(distill(recipe_of(folder, model, tmp_path / str(w), choice_weight=w, **settings)))[0]
        for w in (0.0, 0.5)
    ]
    batch = Collator(0)([[example] for example in examples_of(folder)])
    wanted = choices(batch)
    with torch.no_grad():
        logits = random_model()(batch["input_ids"], logits_to_keep=batch["answer_mask"]).logits
    said = student_choices(logits, wanted)
    chosen = -said.log_probs.gather(1, wanted.action[:, None]).mean().item()
    assert first[1] - first[0] == pytest.approx(0.5 * chosen, rel=1e-3)


def test_the_loss_falls_and_the_result_is_an_adapter_that_says_how_it_was_made(
    folder, model, tmp_path
):
    out = tmp_path / "out"
    settings = {"eval_strategy": "steps", "eval_steps": 3, "eval_users": 3, "seed": 1}
    made = distill(recipe_of(folder, model, out, **settings))
    loss = losses(made)
    assert loss[-1] < 0.9 * loss[0]
    first = made["history"][0]
    assert first["loss"] == pytest.approx(first["kl"] + first["elsewhere"], rel=1e-4)
    assert first["tokens_per_second"] > 0
    examined = [line for line in made["history"] if "eval_kl_from_teacher" in line]
    assert [line["step"] for line in examined] == [3, 6]
    assert json.loads((out / "adapter.json").read_text()) == json.loads(json.dumps(made))
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "adapter.json",
        "adapter_config.json",
        "adapter_model.safetensors",
        "recipe.yaml",
    ]
    assert made["steps"] == 6
    assert made["seed"] == 1
    assert made["recipe"]["objective"] == "kl"
    assert made["environments"][0]["people"] == {"split": "train", "suite_seed": 0, "data": None}
    assert made["environments"][0]["arguments"] == SETTINGS
    assert str(tmp_path) not in json.dumps(made)


def test_examined_people_are_scored_as_the_saved_adapter_is(folder, model, tmp_path):
    from peft import PeftModel

    from acquaint_gym.eval.rollout import rollout
    from acquaint_gym.eval.runs.evaluation import People, plan
    from acquaint_gym.train.dev_evaluation import summary

    out = tmp_path / "out"
    settings = {"eval_strategy": "steps", "eval_steps": 3, "eval_users": 4, "max_steps": 3}
    made = distill(recipe_of(folder, model, out, **settings))
    [examined] = [line for line in made["history"] if "eval_nll" in line]
    [job] = plan("acquaint/Questionnaire-v0", ["bayes"], People("dev", 0, None), SETTINGS)
    env, (teacher, _) = job.environment(4), job.agents()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
        net = PeftModel.from_pretrained(random_model(), out).eval()
    agent = ChoiceAgent(teacher.task, Dialogue(tokenizer(), "x"), HuggingFaceScorer(net))
    trace = rollout(env, agent, teacher, np.arange(4), np.zeros((4, TURNS)))
    for name, value in summary(trace).items():
        assert examined[f"eval_{name}"] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("objective", ["kl+belief", "ce-user", "reverse-kl"])
def test_other_objectives_learn_too(objective, folder, model, tmp_path):
    made = distill(
        recipe_of(
            folder, model, tmp_path / "out", objective=objective, choice_weight=0.01, max_steps=4
        )
    )
    assert losses(made)[-1] < losses(made)[0]
    assert ("belief_kl" in made["history"][0]) == (objective == "kl+belief")


def test_batches_cut_otherwise_give_the_same_weights(folder, model, tmp_path):
    cut = {
        "whole": {},
        "accumulated": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        "checkpointed": {"gradient_checkpointing": True},
    }
    found = {}
    for name, settings in cut.items():
        out = tmp_path / name
        distill(recipe_of(folder, model, out, max_steps=2, objective="kl+belief", **settings))
        found[name] = weights(out)
    for name in ("accumulated", "checkpointed"):
        for key, value in found["whole"].items():
            assert torch.allclose(value, found[name][key], atol=1e-5), (name, key)


def test_a_run_that_was_interrupted_gives_the_weights_of_one_that_was_not(folder, model, tmp_path):
    from transformers import TrainerCallback

    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "lora_dropout": 0.1}
    straight = tmp_path / "straight" / "out"
    distill(recipe_of(folder, model, straight, **settings))

    class Interrupts(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt

    broken = tmp_path / "broken" / "out"
    interrupted = plan(
        recipe_of(folder, model, broken, **settings),
        False,
        Console(stderr=True),
        callbacks=[Interrupts()],
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    assert sorted(path.name for path in broken.glob("checkpoint-*")) == ["checkpoint-3"]
    assert json.loads((broken / "checkpoint-3" / "adapter.json").read_text())["steps"] == 3
    assert not (broken / "adapter.json").exists()
    made = distill(recipe_of(folder, model, broken, **settings))
    assert made["steps"] == 6
    assert len(losses(made)) == 6
    for key, value in weights(straight).items():
        assert torch.equal(value, weights(broken)[key]), key
    # Killed after its last step and before the result: no step is added.
    for name in ("adapter.json", "adapter_model.safetensors"):
        (broken / name).unlink()
        again = distill(recipe_of(folder, model, broken, **settings))
        assert again == json.loads(json.dumps(made))
        for key, value in weights(straight).items():
            assert torch.equal(value, weights(broken)[key]), key
    # A finished run stays as it is, another recipe is refused, and --fresh replaces.
    assert distill(recipe_of(folder, model, broken, **settings)) == json.loads(json.dumps(made))
    with pytest.raises(ValueError, match="another recipe: max_steps was 6, is 1"):
        distill(recipe_of(folder, model, broken, **{**settings, "max_steps": 1}))
    assert distill(recipe_of(folder, model, broken, max_steps=1), fresh=True)["steps"] == 1


def test_what_examined_best_is_kept_by_a_run_that_was_killed_after_its_last_step(
    folder, model, tmp_path
):
    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 1, "eval_users": 4}
    settings |= {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    # More is worse here, so that the first one is the best.
    settings |= {"metric_for_best_model": "kl_from_teacher", "learning_rate": 1.0}
    out = tmp_path / "out"
    made = distill(recipe_of(folder, model, out, **settings))
    kept = weights(out)
    assert made["steps"] < 4
    (out / "adapter.json").unlink()
    assert distill(recipe_of(folder, model, out, **settings))["steps"] == made["steps"]
    for key, value in kept.items():
        assert torch.equal(value, weights(out)[key]), key


def test_weights_that_are_no_numbers_are_no_result(folder, model, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--traces", folder, "--model", model, "--out", out, "--max-steps", "4", "--use-cpu"]
    words += ["--learning-rate", "1e30", "--warmup-steps", "0", "--max-grad-norm", "0"]
    assert main([*map(str, words), "--disable-tqdm"]) == 2
    assert "training diverged, weights are not finite" in capsys.readouterr().err
    assert not (out / "adapter.json").exists()


def test_shipped_models_are_found_from_anywhere(tmp_path, monkeypatch):
    traces(tmp_path / "traces")
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of("traces", "agents/models/micro", "out", max_steps=1)
    made = distill(recipe)
    assert made["base"]["model"] == "micro"


def test_all_weights_can_be_trained_in_bfloat16(folder, model, tmp_path):
    from acquaint_gym.agents.llm.hugging_face import load_model
    from acquaint_gym.agents.llm.tokenizer import load_tokenizer

    settings = {"tuning": "full", "dtype": "bfloat16", "bf16": True, "max_steps": 4}
    made = distill(recipe_of(folder, model, tmp_path / "out", **settings))
    assert losses(made)[-1] < losses(made)[0]
    assert load_tokenizer(str(tmp_path / "out")).chat_template
    assert load_model(str(tmp_path / "out")).dtype == torch.bfloat16


def test_wandb_is_written_to_offline_when_asked(folder, model, tmp_path, monkeypatch):
    # It remembers the folder of an earlier run in this process.
    pytest.importorskip("wandb").teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    distill(recipe_of(folder, model, tmp_path / "out", max_steps=2, report_to="wandb"))
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


# The command.


def test_the_command_reads_a_recipe_and_what_differs_from_it(folder, model, tmp_path, capsys):
    config = tmp_path / "tiny.yaml"
    config.write_text(
        f"model: {model}\ntraces: [{folder}]\nlearning_rate: 1e-2\nmax_steps: 2\nuse_cpu: true\n"
        "eval_strategy: no\nlora_r: 4\ndisable_tqdm: true\n"
    )
    out = tmp_path / "out"
    assert main(["--config", str(config), "--out", str(out), "--max-steps", "1"]) == 0
    made = json.loads((out / "adapter.json").read_text())
    assert (made["steps"], made["recipe"]["learning_rate"]) == (1, 0.01)
    assert "done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objectiv", "kl"], "unknown key 'objectiv'. Did you mean 'objective'?"),
        (["--learning-rat", "1"], "Did you mean 'learning_rate'?"),
        (["--objective", "ce-users"], "Unknown objective 'ce-users'. Did you mean 'ce-user'?"),
        (["--lora-r", "many"], "lora_r='many' is str, expected int"),
        (["--learning-rate", "fast"], "learning_rate='fast' is text, expected a number"),
        (["--output-dir", "x"], "output_dir is not to be set; use `out`"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--traces", "nowhere"], "nowhere holds none; python -m train.collect --out nowhere"),
        (["--model", "./nowhere"], "Model './nowhere' cannot be loaded"),
        (["--mass-weight", "-1"], "mass_weight=-1; expected at least 0"),
        (["--mass-weight", ".nan"], "mass_weight=nan; expected at least 0"),
        (["--traces", "3"], "traces=3; expected folders of train.collect"),
        (["--traces", "[3]"], "traces=[3]; expected folders of train.collect"),
        (["--seed", "1.5"], "seed=1.5; expected a whole number"),
        (["--max-steps", "1.5"], "max_steps=1.5; expected a whole number"),
        (["--report-to", "wandbb"], "wandbb is not supported"),
        (["--learning-rate", "-1"], "Invalid learning rate: -1"),
        (["--per-device-train-batch-size", "0"], "per_device_train_batch_size=0; expected at"),
        (["--optim", "adamw_bnb_8bit"], "bitsandbytes"),
        (["--eval-probe", "level"], "Unknown eval_probe 'level'. Did you mean 'levels'?"),
        (["--max-steps", "0"], "max_steps=0: nothing to train"),
        (["--num-train-epochs", "0"], "num_train_epochs=0: nothing to train"),
        (["--label-smoothing-factor", "0.1"], "label_smoothing_factor is not to be set"),
        (["--bf16", "--use-cpu", "--fp16"], "At most one of fp16 and bf16"),
        (["--lora-targets", "none"], "lora_targets='none': "),
        (["--eval-strategy", "steps", "--eval-split", "tset"], "Did you mean 'test'?"),
        (["kl"], "Expected --key value, got 'kl'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words, message, folder, model, tmp_path, capsys):
    given = {"--traces": str(folder), "--model": str(model), "--out": str(tmp_path / "out")}
    settings = [word for pair in given.items() if pair[0] not in words for word in pair]
    assert main([*words, *settings]) == 2
    # Above it may stand the bar of the weights that were read.
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys, *words):
    """The line that says why a command is refused."""
    assert main(["--use-cpu", "--disable-tqdm", *map(str, words)]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_a_refused_command_leaves_what_was_there_and_fresh_removes_what_a_run_wrote(
    folder, model, tmp_path, capsys
):
    out = tmp_path / "out"
    made = distill(recipe_of(folder, model, out, max_steps=1))
    (out / "notes.txt").write_text("mine")
    (out / "checkpoint-7").mkdir()
    before = files(out)
    told = ["--traces", folder, "--model", model, "--out", out, "--fresh"]
    for words in (["--report-to", "wandbb"], ["--learning-rate", "-1"]):
        refused(capsys, *told, *words)
        assert files(out) == before
    assert distill(recipe_of(folder, model, out, max_steps=1)) == json.loads(json.dumps(made))
    assert distill(recipe_of(folder, model, out, max_steps=2), fresh=True)["steps"] == 2
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "checkpoint-7").exists()


@pytest.mark.parametrize("recipe", [None, "method: gru\n", "- 1\n"])
def test_fresh_does_not_replace_what_no_run_left(recipe, folder, model, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    if recipe is not None:
        (tmp_path / "recipe.yaml").write_text(recipe)
    before = files(tmp_path)
    told = ["--traces", folder, "--model", model, "--out", tmp_path, "--fresh"]
    assert "holds something else than a run of this command" in refused(capsys, *told)
    assert files(tmp_path) == before


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_results_are_not_mixed_up_with_what_is_read(fresh, folder, model, tmp_path, capsys):
    before = files(folder) | files(model)
    told = ["--traces", folder, "--model", model, *fresh, "--out"]
    for out in (folder, folder / "new", folder.parent, model, model / "new", model.parent):
        assert "choose folders apart" in refused(capsys, *told, out), out
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for out in (taken, taken / "below"):
        assert "taken is a file; expected a folder" in refused(capsys, *told, out)
    assert taken.read_text() == "mine"
    assert files(folder) | files(model) == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_on_another_base_or_on_other_traces_does_not_go_on(finished, tmp_path):
    folder, model, out = traces(tmp_path / "traces"), base(tmp_path / "base"), tmp_path / "out"
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    distill(recipe_of(folder, model, out, **settings))
    if not finished:
        (out / "adapter.json").unlink()
    base(model, initializer_range=0.2)
    before = files(out)
    with pytest.raises(ValueError, match=r"the base's weights were \w+, are \w+\. .*--fresh") as no:
        distill(recipe_of(folder, model, out, **settings))
    assert "traces" not in str(no.value).partition("something else: ")[2]
    base(model)
    traces(folder, "--fresh", users=6)
    with pytest.raises(
        ValueError, match=r"traces of acquaint/Questionnaire-v0 were \w+, are \w+\."
    ):
        distill(recipe_of(folder, model, out, **settings))
    assert files(out) == before
    assert distill(recipe_of(folder, model, out, **settings), fresh=True)["steps"] == 2


def test_nobody_learns_from_the_people_of_the_test_split(model, tmp_path, capsys):
    folder = tmp_path / "traces"
    assert collect(["--users", "3", "--split", "test", "--out", str(folder)]) == 0
    line = refused(capsys, "--traces", folder / "test", "--model", model, "--out", tmp_path / "out")
    assert "is of split 'test', on whose people agents are scored" in line
    assert not (tmp_path / "out").exists()


def test_a_missing_key_is_named(capsys):
    assert main(["--model", "x"]) == 2
    assert "`traces` is missing; say --traces VALUE" in capsys.readouterr().err


def test_a_choice_of_another_agent_can_be_imitated(tmp_path):
    whose = ["--agent", "bayes-discounted"]
    folder = traces(tmp_path, *whose)
    teacher, agent = examples_of(folder), examples_of(folder, imitate="agent")
    [source] = load_sources([str(folder)])
    assert np.allclose(teacher[0].target, source.run.trace.teacher_probs[0])
    assert np.allclose(agent[0].target, source.run.trace.action_probs[0])
    assert not np.allclose(teacher[0].target, agent[0].target)
    dialogue = Dialogue(tokenizer(), "tiny")
    # Both hear the same questions; what is right to say differs.
    asked = [
        list(belief_examples(one, dialogue, 2, np.random.default_rng(0)))
        for one in (source, replace(source, imitate="agent"))
    ]
    pairs = [(a, b) for groups in zip(*asked, strict=True) for a, b in zip(*groups, strict=True)]
    assert all(np.array_equal(exact.ids, own.ids) for exact, own in pairs)
    assert any(np.abs(exact.target - own.target).max() > 0.01 for exact, own in pairs)


def test_the_teacher_has_beliefs_about_whoever_was_talked_to(tmp_path):
    [source] = load_sources([str(traces(tmp_path, "--agent", "random"))])
    dialogue, told = Dialogue(tokenizer(), "tiny"), transcripts(source)
    groups = list(belief_examples(source, dialogue, 3, np.random.default_rng(0)))
    turns = range(TURNS + 1)
    every = np.stack(
        [
            BayesTeacher(source.task).believe(told.at(np.full(8, turn), source.task))
            for turn in turns
        ],
        axis=1,
    )
    for row, group in enumerate(groups):
        for example in group:
            off = np.abs(every[row].reshape(-1, 5) - example.target[0]).max(axis=1)
            assert off.min() < 1e-6
    with pytest.raises(ValueError, match="'random' recorded no beliefs"):
        next(
            belief_examples(replace(source, imitate="agent"), dialogue, 1, np.random.default_rng(0))
        )


def test_traces_differ_enough_to_tell_turns_and_people_apart(folder):
    [source] = load_sources([str(folder)])
    assert len(np.unique(source.run.trace.teacher_probs.reshape(-1, 5).round(6), axis=0)) > 5
