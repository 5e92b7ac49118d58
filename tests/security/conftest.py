"""The fixtures of the tests over the whole tree."""

from tests.wire.conftest import alice, bob, bucket, client, daemon, nobody

__all__ = ["alice", "bob", "bucket", "client", "daemon", "nobody"]
