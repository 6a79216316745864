"""Another source of people: those that a language model imagines, answer after answer."""

import numpy as np

from acquaint_gym.agents.baselines import sample
from acquaint_gym.agents.llm import LLMAgent
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users import PersonStreams
from acquaint_gym.envs.users.people import Users

MODEL = "agents/models/micro"  # the embedded one, computed by the engine of this package


class Imagined:
    """Reads the conversation so far and answers the next question as the model thinks likely.

    See `acquaint_gym.envs.users.people.UserSource`: `people="outsider.people:Imagined"`. Nobody
    knows these people's traits. A person is the numbers at which the answers are drawn.
    """

    num_people, stride = None, 1

    def __init__(self, task, split, suite_seed):
        if split not in ("train", "dev", "test"):
            raise ValueError(f"split={split!r}; expected train, dev or test.")
        if task.agent_asks or task.context is not None or task.quirks.changes_responses:
            raise ValueError("These people answer what they are asked, without context or quirks.")
        numbers = task.num_uniforms + task.num_turns
        self.streams = PersonStreams(suite_seed, f"imagined {split}", numbers)
        adapter, engine = f"{MODEL}-lora", "outsider.scorer:Scorer"
        self.model = LLMAgent(task, MODEL, adapter=adapter, scorer=engine)
        self.task, self.split = task, split

    def draw(self, person):
        task, turns = self.task, self.task.num_turns
        uniform = self.streams.uniform(person)
        stimuli = task.draw_stimuli(uniform[:, : task.num_uniforms])[:, :turns].astype(np.float32)
        stimuli = task.separate_splits(stimuli, self.split)
        answers = np.full((len(person), turns), -1, dtype=np.int8)
        for turn in range(turns):
            asked = np.where(np.arange(turns)[:, None] <= turn, stimuli, -1)
            # The model reads a conversation in which each guess was what it then answered.
            transcript = Transcript.of(np.full(len(person), turn), asked, answers, answers)
            probs = self.model.act(transcript, uniform[:, 0]).action_probs
            answers[:, turn] = sample(probs, uniform[:, task.num_uniforms + turn])
        unknown = np.full((len(person), len(task.population.factors)), -1, dtype=np.int32)
        return Users.from_answers(person, unknown, stimuli, answers, turns)
