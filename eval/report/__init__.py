"""Tables, plots and files that show metrics."""
