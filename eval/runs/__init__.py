"""One evaluation: what it is, how it is carried out, where its traces lie, what they depend on."""

__all__ = ["evaluation", "store"]
