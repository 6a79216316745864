"""A posterior of particles, for profiles of traits that are too many to enumerate."""

import numpy as np
from scipy.special import entr, softmax

N = 1000  # particles a person
RANDOM = np.random.Generator(np.random.Philox(7)).random((9, N))  # the same for everybody


class ParticleFilter:
    tolerance = 0.1  # of probabilities by a thousand particles that are worth at least five hundred

    def __init__(self, population, model):
        self.people, self.model = population, model
        shape = population.marginals.shape  # traits, levels
        self.each = np.indices(shape)[1].T
        self.log_prior = np.log(population.prior).reshape((shape[1],) * shape[0])  # all, in order
        self.kind = [("levels", int, (N, shape[0])), ("weights", float, N), ("seen", float, shape)]
        self.bytes_per_person = np.dtype(self.kind).itemsize

    def start(self, batch):
        belief = np.zeros(batch, self.kind)
        belief["levels"] = self.people.levels[self.people.prior.cumsum().searchsorted(RANDOM[-1])]
        belief["weights"] = 1 / N
        return belief

    def update(self, belief, stimulus, feedback, action=None, turn=None):
        who, trait = np.arange(len(feedback)), [self.model.factor(one) for one in stimulus]
        gain = np.log(self.model.probs(self.each, stimulus[:, None])[who, :, feedback])
        belief["seen"][who, trait] += gain  # log-likelihood of each level by all answers so far
        belief["weights"] *= np.exp(np.take_along_axis(gain, belief["levels"][who, :, trait], 1))
        belief["weights"] /= belief["weights"].sum(axis=1, keepdims=True)
        for person in belief:
            if np.square(person["weights"]).sum() > 2 / N:
                person["levels"], person["weights"] = self.moved(person), 1 / N
        return belief

    def moved(self, person):  # resample-move: Gilks & Berzuini, 2001, J. R. Stat. Soc. B 63
        levels = person["levels"][person["weights"].cumsum().searchsorted(RANDOM[-1] - 1e-9)]
        for trait, seen in enumerate(person["seen"]):
            others = tuple(np.delete(levels, trait, axis=1).T)
            probs = softmax(np.moveaxis(self.log_prior, trait, -1)[others] + seen, axis=1)
            drawn = (probs.cumsum(axis=1) < RANDOM[trait][:, None]).sum(axis=1)
            levels[:, trait] = drawn.clip(max=len(self.each) - 1)
        return levels

    def mean(self, belief, values):
        return np.einsum("bn,bn...->b...", belief["weights"], values)

    def predict(self, belief, stimulus, turn=None):
        return self.mean(belief, self.model.probs(belief["levels"], stimulus[:, None]))

    def predict_all(self, belief, stimuli):
        return self.mean(belief, self.model.probs(belief["levels"][:, :, None], stimuli))

    def information(self, belief, stimuli, marginals=None):
        known = entr(self.model.probs(belief["levels"][:, :, None], stimuli)).sum(axis=3)
        return entr(self.predict_all(belief, stimuli)).sum(axis=2) - self.mean(belief, known)

    def log_prob(self, belief, levels):
        same = (belief["levels"] == levels[:, None]).all(axis=2)
        return np.log(np.maximum(self.mean(belief, same), 1e-300))

    def marginals(self, belief):
        return self.mean(belief, belief["levels"][..., None] == np.arange(len(self.each)))

    def sample(self, belief, uniform):
        drawn = (belief["weights"].cumsum(axis=1) <= uniform[:, None]).sum(axis=1)
        return belief["levels"][np.arange(len(drawn)), drawn.clip(max=N - 1)]

    def take(self, belief, rows):
        return belief[rows]

    def put(self, belief, rows, part):
        belief[rows] = part
        return belief
