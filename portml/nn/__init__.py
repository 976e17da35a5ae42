"""Neural networks: modules, layers, losses, initialisers."""
