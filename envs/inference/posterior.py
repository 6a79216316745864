"""What is believed about people, and how: the seam behind which a posterior keeps its form.

Tasks, agents and the evaluator deal with a `Posterior` and its opaque beliefs. Ours are exact:
`FactoredPosterior` and `JointPosterior` keep a probability for every hypothesis. One of your own,
e.g. particles or a network, is a class with these methods, named as `posterior=module:Class`.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, Protocol

from acquaint_gym.envs.names import closest, resolve
from acquaint_gym.envs.users.response_models import Floats, Ints

Belief = Any
"""What a posterior believes about B people; only the posterior itself looks inside."""

EXACT = {
    "factored": "acquaint_gym.envs.inference.exact:FactoredPosterior",
    "joint": "acquaint_gym.envs.inference.joint:JointPosterior",
}
OUTSIDE = "acquaint_gym.envs.inference.outside:OutsidePosterior"


class Posterior(Protocol):
    """Bayes' rule, or an approximation of it, for one population and one response model.

    A posterior holds no person: all it knows of people is in the beliefs that it hands out. It is
    called as `Class(population, model)`, and where the task needs them with `acceptance=` and
    `drift=`, see `envs.inference.exact.ExactPosterior`; a class that does not take these is refused
    there instead of being wrong. What is random must depend on the belief and the arguments
    alone, so that people are the same alone and in any batch.

    Attributes:
        tolerance: largest absolute error, against the exact posterior, of a probability (of
            answers, of levels, of a person's levels together) and of an information in nats. The
            contract holds it to that.
        bytes_per_person: size of a belief about one person, roughly; who works through many people
            goes by it.
    """

    tolerance: float
    bytes_per_person: int

    def start(self, batch: int) -> Belief:
        """The prior, as a belief about each of `batch` people."""

    def update(
        self,
        belief: Belief,
        stimulus: Floats,
        feedback: Ints,
        action: Ints | None = None,
        turn: Floats | Ints | None = None,
    ) -> Belief:
        """The belief after an answer; where people drift, that about the next turn.

        Args:
            belief: about B people; may be overwritten.
            stimulus: `[B, S]` what each person was asked.
            feedback: `[B]` the person's answer, or 1 and 0 for an accepted or rejected action.
            action: `[B]` what the agent did, where people only accept or reject it.
            turn: `[B]` at which turn, 0, 1, ...; a model that is `timed` needs it.

        Raises:
            ValueError: feedback that every hypothesis rules out, or no `action` where it is needed.
        """

    def predict(
        self, belief: Belief, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """`[B, K]` posterior predictive of the answer to `stimulus` `[B, S]`, see `update`."""

    def predict_all(self, belief: Belief, stimuli: Floats) -> Floats:
        """`[B, N, K]` posterior predictive of the answer to each of the stimuli `[N, S]`."""

    def information(
        self, belief: Belief, stimuli: Floats, marginals: Floats | None = None
    ) -> Floats:
        """`[B, N]` expected information gain, in nats, of asking each of the stimuli `[N, S]`.

        The mutual information of answer and person (Lindley, 1956, Annals of Mathematical
        Statistics 27): entropy of the predictive answer less the mean entropy of the answers of
        people who are known, which equals the expected drop of the posterior's entropy.

        Args:
            belief: about B people.
            stimuli: what may be asked.
            marginals: what `marginals` gives of the belief, where that was worked out already; it
                may save time.
        """

    def log_prob(self, belief: Belief, levels: Ints) -> Floats:
        """`[B]` log probability in nats of people's levels `[B, F]`, all factors together."""

    def marginals(self, belief: Belief) -> Floats | None:
        """`[B, F, L]` probabilities of each factor's levels, a copy; None if unordered."""

    def sample(self, belief: Belief, uniform: Floats) -> Ints:
        """`[B, F]` levels drawn from the belief, a function of one number in [0, 1) a person."""

    def take(self, belief: Belief, rows: Ints) -> Belief:
        """A belief of its own about the people in these rows `[n]`, which may repeat."""

    def put(self, belief: Belief, rows: Ints, part: Belief) -> Belief:
        """The belief with `part` in these rows `[n]`; may change `belief`."""


class PosteriorError(ValueError):
    """A posterior of somebody else's breaks what `Posterior` promises; names it and says how."""


def make_posterior(name: str, independent: bool, *ingredients: Any, **dynamics: Any) -> Posterior:
    """The posterior that a task's argument `posterior` names.

    Args:
        name: `factored`, one posterior per factor; `joint`, one over all types of people; `auto`,
            the factored one where it is exact; or `module:Class`.
        independent: whether the factored one is exact: the prior is a product over factors, and
            every stimulus, of a context too, informs one factor.
        *ingredients: population and response model.
        **dynamics: `acceptance` and `drift`, only where the task has them.

    Raises:
        ValueError: an unknown name, `factored` where it would not be exact, or a class that does
            not take what the task needs.
        PosteriorError: a class that lacks a part of `Posterior`. What is made of `module:Class`
            is checked whenever it is used, see `envs.inference.outside`.
    """
    check_name(name)
    if name == "factored" and not independent:
        raise ValueError(
            "posterior='factored' is exact only if the prior is a product over factors and every "
            "stimulus, of the context too, informs one factor; this task needs posterior='joint'."
        )
    exact = ("factored" if independent else "joint") if name == "auto" else name
    made = resolve(EXACT.get(exact, exact), "Posterior")
    try:
        signature(made).bind(*ingredients, **dynamics)
    except TypeError as error:
        raise ValueError(
            f"posterior={name!r}: {error}. This task calls it with the population, the model and "
            f"{', '.join(dynamics) or 'nothing else'}; take another posterior here."
        ) from error
    posterior: Posterior = made(*ingredients, **dynamics)
    if exact in EXACT:
        return posterior
    outside: Posterior = resolve(OUTSIDE, "Posterior")(name, posterior, *ingredients)
    return outside


def check_name(name: str) -> None:
    """Refuses a word that names no posterior.

    Raises:
        ValueError: neither one of ours nor `module:Class`; the message names the nearest.
    """
    if name not in ("auto", *EXACT) and ":" not in name:
        raise ValueError(
            f"Unknown posterior {closest(name, ('auto', *EXACT))} Or name a class of your own as "
            "module:Class."
        )
