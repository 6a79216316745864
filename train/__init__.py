"""One entry point a method: parameters and populations fitted to people, agents trained."""
