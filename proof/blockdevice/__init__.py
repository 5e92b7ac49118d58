"""Power cuts of real file systems: what was given to a block device since its last flush may be lost.

See `proof.blockdevice.__main__` for how it is run.
"""
