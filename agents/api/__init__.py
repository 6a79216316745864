"""Language models behind an OpenAI-compatible server.

Of a chat completion are read: `content` as text or as a list of parts; log-probabilities in
`logprobs.content`, tokens as text or, where they are ids or missing, as `bytes`; `usage`; `model`
and `system_fingerprint`. Not read: thoughts (`reasoning_content`, parts of type `thinking`, text up
to `</think>`), `refusal`, log-probabilities in any other form. Which reply a text is says
`agents.api.reply.Labels.read`; what is none is counted as `unparsed`. By log-probabilities the
first token counts, after white space and markup; of a model that announces its reply, `Answer: 4`,
the text is read.

A server is greeted first, see `agents.api.chat.ChatModel.form`: so it is found out whether it takes
a system turn, `max_tokens` and log-probabilities, and which model it is of. An error inside HTTP
200 is one of its own status.
"""

from acquaint_gym.agents.api.agent import ApiAgent

__all__ = ["ApiAgent"]
