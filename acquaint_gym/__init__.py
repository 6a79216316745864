"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

try:
    from acquaint_gym import envs
except ImportError as error:
    # In the checkout Python finds this folder, but `envs/` beside it belongs to the name only once
    # the package is installed. Any other import that fails is what it says.
    if error.name != __name__:
        raise
    raise ImportError(
        "acquaint_gym is not installed in this Python. In the checkout: "
        "`source .venv/bin/activate` after `make demo` or `make test`, or `pip install -e .`"
    ) from error

__all__ = ["agents", "envs", "eval", "train"]
