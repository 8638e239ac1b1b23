"""Around the Runner: configs, checks before training, hooks."""
