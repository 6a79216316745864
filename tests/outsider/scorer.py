"""Another engine that scores replies: a Llama in plain NumPy, float64, without a cache."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


class Scorer:
    """See `acquaint_gym.agents.llm.scorer`: `scorer: outsider.scorer:Scorer` in an agent's file."""

    def __init__(self, model, adapter, revision, dtype, device, batch_size):
        if dtype not in ("auto", "float64"):
            raise ValueError(f"dtype={dtype!r}: this engine computes in float64; leave it out.")
        self.config = json.loads((Path(model) / "config.json").read_text("utf-8"))
        self.weights = {
            name.removeprefix("model.").removesuffix(".weight"): part.astype(np.float64)
            for name, part in load_file(Path(model) / "model.safetensors").items()
        }
        if adapter is not None:
            lora = json.loads((Path(adapter) / "adapter_config.json").read_text("utf-8"))
            parts = load_file(Path(adapter) / "adapter_model.safetensors")
            for name in (name for name in parts if "lora_A" in name):
                target = name.removeprefix("base_model.model.model.").removesuffix(".lora_A.weight")
                change = parts[name.replace("lora_A", "lora_B")].astype(np.float64) @ parts[name]
                self.weights[target] += lora["lora_alpha"] / lora["r"] * change

    def score(self, conversations, replies):
        return np.array([self._scores(ids, replies) for ids in conversations])

    def _scores(self, ids, replies):
        """Sums of the replies' tokens, each after all before it; one pass for equal beginnings."""
        begun = {tuple(reply[:-1]) for reply in replies}
        after = {tokens: self._log_probs([*ids, *tokens]) for tokens in begun}
        return [after[tuple(r[:-1])][np.arange(-len(r), 0), r].sum() for r in replies]

    def _log_probs(self, ids):
        """`[n, V]` log-probabilities of the next token after each of `n`."""
        w, heads, size = self.weights, self.config["num_attention_heads"], self.config["head_dim"]
        theta, half = self.config["rope_parameters"]["rope_theta"], size // 2
        angles = np.outer(np.arange(len(ids)), theta ** (-np.arange(half) / half))
        turn = np.exp(1j * angles)[:, None]  # rotary positions turn pairs, as complex numbers
        future, x = np.triu(np.full((len(ids), len(ids)), -np.inf), 1), w["embed_tokens"][ids]
        for layer in (f"layers.{n}." for n in range(self.config["num_hidden_layers"])):
            y, name = self._norm(x, layer + "input_layernorm"), layer + "self_attn."
            q, k, v = ((y @ w[name + f"{c}_proj"].T).reshape(-1, heads, size) for c in "qkv")
            q, k = (turn * (part[..., :half] + 1j * part[..., half:]) for part in (q, k))
            seen = np.einsum("nhd,mhd->hnm", q, k.conj()).real / size**0.5 + future
            share = np.exp(seen - seen.max(axis=2, keepdims=True))
            mixed = np.einsum("hnm,mhd->nhd", share / share.sum(axis=2, keepdims=True), v)
            x = x + mixed.reshape(len(ids), -1) @ w[name + "o_proj"].T
            y, name = self._norm(x, layer + "post_attention_layernorm"), layer + "mlp."
            gate, up = y @ w[name + "gate_proj"].T, y @ w[name + "up_proj"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[name + "down_proj"].T
        logits = self._norm(x, "norm") @ w["embed_tokens"].T
        return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    def _norm(self, x, name):
        size = np.sqrt((x * x).mean(axis=1, keepdims=True) + self.config["rms_norm_eps"])
        return x / size * self.weights[name]
