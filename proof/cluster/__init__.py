"""Three hosts on one GlusterFS volume behind haproxy: ``python -m proof.cluster [SCENARIO...]``.  See `__main__`."""
