"""The seam of the posterior: what the exact ones say, and what a stranger's can do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kit import generator
from numpy.testing import assert_allclose, assert_array_equal
from outsider.posterior import ParticleFilter

from acquaint_gym.envs.contract import check_posterior
from acquaint_gym.envs.inference.exact import FactoredPosterior
from acquaint_gym.envs.inference.joint import JointPosterior
from acquaint_gym.envs.inference.likelihoods import blocks
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import TableModel
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.store import load_runs

ID, PARTICLES = "acquaint/Questionnaire-v0", "outsider.posterior:ParticleFilter"
TASK = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
TRAITS = "abcdef"


class Overconfident(ParticleFilter):
    tolerance = 1e-3


@pytest.fixture
def six_traits(tmp_path):
    """Somebody's own questionnaire: 24 items about six correlated traits, as files."""
    items = [f"{trait}{n}" for trait in TRAITS for n in range(4)]
    lines = [f"{item},I am {item}.,{item[0]},1" for item in items]
    (tmp_path / "six_items.csv").write_text("\n".join(["item_id,text,trait,keying", *lines]))
    (tmp_path / "six_responses.csv").write_text("code,label\n1,no\n2,perhaps\n3,yes\n")
    rng = generator(3)
    lines = [f"{item},{rng.uniform(1, 2):.3f},-0.7,{rng.uniform(0, 1):.3f}" for item in items]
    (tmp_path / "six_own.csv").write_text("\n".join(["item_id,a,b1,b2", *lines]))
    lines = [
        ",".join([one, *(str(1.0 if one == other else 0.4) for other in TRAITS)]) for one in TRAITS
    ]
    (tmp_path / "six_own_traits.csv").write_text("\n".join([",".join(["trait", *TRAITS]), *lines]))
    return {"questionnaire": str(tmp_path / "six_items.csv"), "parameters": "own"}


def options(files, **settings):
    """The words of a command that set these."""
    return [f"--set={key}={value}" for key, value in {**files, **settings}.items()]


def evaluate(out, *words):
    """The runs of a command, by agent; one process, so that it sees what the tests lay out."""
    assert main([*words, "--env", ID, "--workers", "1", "--out", str(out)]) == 0
    return {run.agent: run for run in load_runs(out)}


# A particle filter in the place of the exact posterior.


def test_particles_follow_117_649_profiles_of_correlated_traits(six_traits, tmp_path):
    words = options(six_traits, levels=7, posterior=PARTICLES)
    runs = evaluate(tmp_path / "out", "--agent", "bayes", "prior", *words, "--users", "40")
    task = make_task(TASK, **six_traits, levels=7)
    assert len(task.population.prior) == 117_649
    assert not task.population.independent
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    nll = {row["agent"]: row["mean"] for row in report["rows"] if row["metric"] == "nll"}
    assert nll["bayes"] < nll["prior"] - 0.05
    belief = runs["bayes"].trace.belief[:, -1]
    levels = np.arange(7)
    assert np.corrcoef((belief @ levels).ravel(), runs["bayes"].trace.levels.ravel())[0, 1] > 0.8


def test_particles_agree_with_the_exact_posterior_where_it_can_be_had(six_traits, tmp_path):
    words = options(six_traits, levels=3)
    approximate = f"bayes:posterior={PARTICLES}"
    runs = evaluate(tmp_path / "out", "--agent", "bayes", approximate, *words, "--users", "60")
    ours, theirs = runs["bayes"].trace, runs[approximate].trace
    assert_array_equal(ours.answers, theirs.answers)
    for name in ("action_probs", "belief"):
        off = np.abs(getattr(ours, name) - getattr(theirs, name)).max()
        assert 1e-4 < off < ParticleFilter.tolerance


def test_the_contract_holds_a_posterior_to_its_own_tolerance(six_traits):
    settings = {**six_traits, "levels": 3}
    check_posterior(ID, **settings, posterior=PARTICLES)
    with pytest.raises(AssertionError, match=r"its tolerance is 0\.001"):
        check_posterior(ID, **settings, posterior=f"{__name__}:Overconfident")


def test_whoever_asks_may_believe_in_particles_and_is_paid_by_the_exact_posterior(tmp_path):
    interview = "acquaint/Interview-v0"
    agents = ["random", "infomax", f"infomax:posterior={PARTICLES}"]
    small = ["--set", "levels=2", "--set", "num_turns=4", "--users", "30", "--workers", "1"]
    out = str(tmp_path)
    assert main(["--env", interview, "--agent", *agents, *small, "--out", out]) == 0
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    score = {row["agent"]: row["mean"] for row in report["rows"] if row["metric"] == "log_score"}
    assert score[agents[2]] > score["random"] + 0.2
    assert score[agents[2]] == pytest.approx(score["infomax"], abs=0.3)


def test_the_code_of_a_posterior_is_part_of_what_a_trace_depends_on():
    people = People("test", 0, None)
    agents = ["bayes", f"bayes:posterior={PARTICLES}"]
    exact, particles = (one.config()["code"] for one in plan(ID, agents, people, {}))
    assert exact != particles
    (own,) = plan(ID, ["bayes"], people, {"posterior": PARTICLES})
    assert own.config()["code"] == particles


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"posterior": "exact"}, r"Unknown posterior 'exact'.*auto, factored, joint.*module:Class"),
        ({"posterior": "nowhere.at_all:Particles"}, "Posterior 'nowhere.at_all:Particles' cannot"),
        ({"posterior": "outsider.posterior:Particle"}, "Did you mean 'ParticleFilter'"),
        ({"posterior": PARTICLES, "quirks": "drift:0.1"}, "unexpected keyword argument 'drift'"),
    ],
    ids=str,
)
def test_a_posterior_that_cannot_be_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        make_task(TASK, **arguments).make_posterior()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["--agent", "bayes-map"], "point=True needs a probability for every hypothesis"),
        (["--agent", "bayes-discounted"], "needs a probability for every hypothesis"),
        (["--env", "acquaint/Interview-v0", "--agent", "random"], "to score interviews"),
        (["--env", "acquaint/FlightChoice-v0", "--set", "feedback=accept"], "'acceptance'"),
    ],
    ids=str,
)
def test_who_needs_every_hypothesis_says_so(command, words, capsys, tmp_path):
    given = [*command, "--set", f"posterior={PARTICLES}", "--users", "2", "--out", str(tmp_path)]
    assert main(["--agent", "bayes", *given]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


# What the exact ones say beside their beliefs.


def people_and_items(prior=None):
    """Two traits of three levels, five items, and a belief about four people."""
    rng = generator(8)
    population = Population.profiles(("x", "y"), np.array([-1.0, 0, 1]))
    if prior is not None:
        population = Population(("x", "y"), population.levels, prior, population.grid, False)
    model = TableModel(rng.dirichlet(np.ones(4), size=(5, 3)), np.arange(5) % 2)
    return population, model


@pytest.mark.parametrize("form", [FactoredPosterior, JointPosterior])
def test_samples_come_as_often_as_the_posterior_says(form):
    posterior = form(*people_and_items())
    belief = posterior.start(1)
    for item, answer in ((0, 1), (1, 3), (2, 0)):
        belief = posterior.update(belief, np.full((1, 1), item), np.array([answer]))
    uniform = (np.arange(30_000) + 0.5) / 30_000
    drawn = posterior.sample(posterior.take(belief, np.zeros(30_000, dtype=int)), uniform)
    count = np.bincount(drawn @ [3, 1], minlength=9) / 30_000
    assert_allclose(count, posterior.joint(belief)[0, 0], rtol=0, atol=1e-3)
    assert_array_equal(posterior.sample(belief, np.array([np.nextafter(1, 0)])).shape, (1, 2))


@pytest.mark.parametrize("form", [FactoredPosterior, JointPosterior])
def test_the_log_probability_of_levels_is_that_of_their_type(form):
    population, model = people_and_items()
    posterior = form(population, model)
    belief = posterior.update(posterior.start(9), np.zeros((9, 1)), np.arange(9) % 4)
    chance = posterior.joint(belief)[np.arange(9), 0, np.arange(9)]
    assert_allclose(posterior.log_prob(belief, population.levels), np.log(chance), atol=1e-12)
    sure = posterior.certain(population.levels)
    assert_array_equal(posterior.most_probable(sure), population.levels)
    assert_allclose(posterior.log_prob(sure, population.levels), 0)
    assert np.isfinite(posterior.log_prob(sure, population.levels[::-1])).all()


def test_types_in_any_order_are_found_by_their_levels_and_strangers_are_none():
    order = generator(2).permutation(9)[:7]
    full, model = people_and_items()
    kept = Population(("x", "y"), full.levels[order], np.full(7, 1 / 7), full.grid, False)
    posterior = JointPosterior(kept, model)
    assert_array_equal(posterior.index(kept.levels)[:, 0], np.arange(7))
    gone = np.setdiff1d(np.arange(9), order)
    with pytest.raises(ValueError, match="No type of the population"):
        posterior.index(full.levels[gone])


def test_stimuli_that_are_others_than_before_are_predicted_anew():
    population, model = people_and_items()
    posterior = FactoredPosterior(population, model)
    stimuli = np.arange(5.0)[:, None]
    belief = posterior.start(2)
    first = posterior.predict_all(belief, stimuli)
    stimuli[:] = stimuli[::-1].copy()  # the same array, told otherwise
    assert_allclose(posterior.predict_all(belief, stimuli), first[:, ::-1], atol=1e-15)
    assert_allclose(posterior.predict_all(belief, stimuli[:2]), first[:, [4, 3]], atol=1e-15)


@pytest.mark.parametrize("block_bytes", [1, 200, 2**20])
def test_blocks_make_no_difference(block_bytes):
    population, model = people_and_items(generator(4).dirichlet(np.ones(9)))
    stimuli, answers = np.arange(20)[:, None] % 5, np.arange(20) % 4
    whole, parts = JointPosterior(population, model), JointPosterior(population, model)
    parts = JointPosterior(population, model, block_bytes=block_bytes)
    expected = whole.update(whole.start(20), stimuli.astype(float), answers)
    assert_allclose(parts.update(parts.start(20), stimuli.astype(float), answers), expected)


def test_blocks_are_those_of_the_worked_example():
    assert next(iter(blocks(10_000, 8 * 3125))) == slice(0, 41)
    assert next(iter(blocks(10_000, 8 * 25))) == slice(0, 5242)
    assert [s.start for s in blocks(3, 10**9)] == [0, 1, 2]
