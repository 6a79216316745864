"""What is believed about people: the Protocol of a posterior, exact ones, whole transcripts."""

__all__ = ["exact", "joint", "posterior", "transcripts"]
