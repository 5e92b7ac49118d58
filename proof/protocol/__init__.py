"""The protocol of the store as an explicit-state model: ``python -m proof.protocol``."""
