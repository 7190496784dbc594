"""How fast the service is beside its peers: each a small honest program, all measured in turn on one machine."""
