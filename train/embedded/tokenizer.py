"""The tokenizer of the embedded model: byte pairs, merged across words to keep prompts short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

USER, ASSISTANT, SYSTEM, END = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
# A reply stands between two special tokens, so nothing is ever joined with it.
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# What a model has to read one by one. Everything between two of these may become one token.
_APART = (
    r"[0-9]{2}:[0-9]{2} [AP]M",  # times of day
    r"[0-9]+ hr(?: [0-9]+ min)?|[0-9]+ min",  # durations
    r"\$?[0-9]+",  # prices, labels, counts
    r"(?<![A-Za-z])[A-H](?=\. | \()",  # labels that are letters
    r'(?<=")[^"\n]+"',  # what is quoted, with the closing quotation mark
)


def build_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of these texts, with a chat template that only appends.

    Args:
        texts: what it should write in few tokens; the most frequent is merged first.
        vocab_size: tokens at most, of which 260 are bytes and special tokens.
    """
    raw = Tokenizer(models.BPE())
    splits: list[Any] = [
        pre_tokenizers.Split(Regex("|".join(_APART)), "isolated"),
        pre_tokenizers.Split("\n", "merged_with_previous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    raw.pre_tokenizer = pre_tokenizers.Sequence(splits)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END, SYSTEM, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    wrapped: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = wrapped(
        tokenizer_object=raw,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
