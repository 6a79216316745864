"""How parameters and populations are fitted to people."""
