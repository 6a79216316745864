"""What trainings take: keys, checks, folders."""
