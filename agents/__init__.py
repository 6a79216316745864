"""Anyone who plays: functions from transcripts to distributions over actions."""
