"""What is tried on a cluster; each scenario prints its figures and tells what went wrong."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from proof.cluster import balancer
from proof.cluster.clients import Writers
from proof.cluster.cluster import Cluster
from proof.cluster.hosts import Host
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Endpoint
from tests.e2e.histories import Recording, Versions, run
from tests.e2e.objecthistories import Objects
from tests.e2e.signed import Client, code, elements
from tests.e2e.two import versioning
from tests.linearizability import TooMany
from tests.versionmodel import ENABLED

RACERS = 32
_numbers = count(1)

#: Gives what went wrong.
Scenario = Callable[[Cluster, int], Iterator[str]]


def new_bucket(*, versions: bool = False) -> str:
    """A bucket of its own, made through the balancer."""
    bucket = f"bucket-{next(_numbers)}"
    with closing(Client(balancer.ALL)) as client:
        assert client("PUT", f"/{bucket}").status == 200
        if versions:
            assert client("PUT", f"/{bucket}", query={"versioning": ""}, body=versioning(ENABLED)).status == 200
    return bucket


def smoke(cluster: Cluster, rounds: int) -> Iterator[str]:
    """What clients do on ordinary days, by boto3 through the balancer."""
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    s3: Any = session.client("s3", endpoint_url=balancer.ALL.url, config=Config(retries={"total_max_attempts": 1}))
    bucket = new_bucket(versions=True)
    body = bytes(range(256)) * (rounds << 10)
    source = cluster.home / "large"
    source.write_bytes(body * 8)
    for turn in range(rounds):
        for key in (f"plain/{turn}", "same", f"ä b+{turn}/x"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % turn, Metadata={"turn": str(turn)})
            found = s3.get_object(Bucket=bucket, Key=key)
            if found["Body"].read() != b"%d" % turn or found["Metadata"] != {"turn": str(turn)}:
                yield f"{key} is not what was put"
    if len(s3.list_objects_v2(Bucket=bucket)["Contents"]) != 2 * rounds + 1:
        yield "a listing is not whole"
    if len(s3.list_object_versions(Bucket=bucket, Prefix="same")["Versions"]) != rounds:
        yield "versions are missing"
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_file(str(source), bucket, "large", Config=parts)
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=parts)
    for key in ("large", "copy"):
        s3.download_file(bucket, key, str(cluster.home / "back"))
        if (cluster.home / "back").read_bytes() != source.read_bytes():
            yield f"{key}, in parts, is not what was put"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "large"}, {"Key": "copy"}]})
    s3.close()
    print(f"  {3 * rounds} objects of 3 keys and more, {len(body) * 8 >> 20} MiB in parts and copied")


def race(cluster: Cluster, rounds: int) -> Iterator[str]:
    """Of 32 clients over all hosts that write under the same condition one wins."""
    bucket = new_bucket()
    endpoints = cluster.endpoints()
    clients = [Client(endpoints[number % len(endpoints)]) for number in range(RACERS)]
    told: Counter[str] = Counter()
    with ThreadPoolExecutor(RACERS) as threads:
        for turn in range(rounds):
            headers = {"If-None-Match": "*"}
            for how in ("created", "replaced"):
                bodies = [f"{how} by {number} in {turn}".encode() for number in range(RACERS)]
                barrier = threading.Barrier(RACERS, timeout=PATIENCE)

                def put(number: int, bodies=bodies, barrier=barrier, headers=headers, turn=turn) -> str:  # type: ignore[no-untyped-def]
                    barrier.wait()
                    return code(clients[number]("PUT", f"/{bucket}/dir/{turn}", headers=headers, body=bodies[number]))

                codes = list(threads.map(put, range(RACERS)))
                told.update(codes)
                winners = [body for body, each in zip(bodies, codes, strict=True) if not each]
                if len(winners) != 1:
                    yield f"round {turn}: {len(winners)} {how} it"
                    break
                for endpoint in endpoints:
                    with closing(Client(endpoint)) as reader:
                        if reader("GET", f"/{bucket}/dir/{turn}").body != winners[0]:
                            yield f"round {turn}: not what was {how} is there"
                headers = {"If-Match": f'"{hashlib.md5(winners[0]).hexdigest()}"'}
    for each in clients:
        each.close()
    wins = told.pop("", 0)
    print(f"  {2 * rounds} races of {RACERS} clients, {wins} wins, others were told {dict(told)}")


def stale(cluster: Cluster, rounds: int) -> Iterator[str]:
    """What one host answered, the others know at once: by GET, HEAD, and in a listing."""
    # Where versions are kept, what was replaced is still a file.
    buckets = new_bucket(), new_bucket(versions=True)
    clients = [Client(each) for each in cluster.endpoints()]
    seen: Counter[str] = Counter()
    for turn in range(10 * rounds):
        writer, *readers = clients[turn % len(clients) :] + clients[: turn % len(clients)]
        # Some times each, and so soon that what was remembered of it would still be.
        key, bucket = f"dir/{turn // 10}", buckets[turn // 10 % 2]
        path = f"/{bucket}/{key}"
        # Now and then it goes, so that what is not there is remembered, too.
        body = b"" if turn % 5 == 4 else f"{turn:06}".encode() * (1 if turn % 2 else 20_000)
        answer = writer("PUT" if body else "DELETE", path, body=body)
        assert answer.status in (200, 204), answer
        etag = f'"{hashlib.md5(body).hexdigest()}"' if body else None
        for reader in readers:
            head = reader("HEAD", path)
            seen["HEAD"] += (head.headers["ETag"] if head.status == 200 else None) != etag
            listed = elements(reader("GET", f"/{bucket}", query={"prefix": "dir/"}).body)
            etags = {each.findtext("Key"): each.findtext("ETag") for each in listed.iter("Contents")}
            seen["list"] += etags.get(key) != etag
            got = reader("GET", path)
            seen["GET"] += (got.body if got.status == 200 else b"") != body
            seen[f"status {got.status}"] += 1
            # A condition is decided by what is there, not by what is remembered.
            condition, wanted = ({"If-None-Match": "*"}, 412) if body else ({"If-Match": '"0"'}, 404)
            seen["condition"] += reader("PUT", path, headers=condition, body=b"never").status != wanted
    for each in clients:
        each.close()
    print(f"  {20 * rounds} looks at what another host had just written: {dict(seen)}")
    for what in ("HEAD", "list", "GET", "condition"):
        if seen[what]:
            yield f"{seen[what]} of {20 * rounds} stale: {what}"


def readers(cluster: Cluster, rounds: int) -> Iterator[str]:
    """Who reads and lists what other hosts are replacing is always served, and sees one version, whole."""
    bucket = new_bucket()
    keys = [f"dir/{number}" for number in range(3)]
    stopping = threading.Event()
    told: Counter[str] = Counter()
    wrong: list[str] = []
    first, *others = cluster.endpoints()

    def write() -> None:
        with closing(Client(first)) as client:
            turn = 0
            while not stopping.is_set():
                turn += 1
                body = b"%06d" % turn * (1, 1, 30_000)[turn % 3]
                told[f"PUT {code(client('PUT', f'/{bucket}/{keys[turn % len(keys)]}', body=body))}"] += 1

    def read(endpoint: Endpoint, number: int) -> None:
        with closing(Client(endpoint)) as client:
            turn = number
            while not stopping.is_set():
                turn += 1
                if turn % 3 == 0:
                    answer = client("GET", f"/{bucket}", query={"prefix": "dir/"})
                    told[f"LIST {code(answer)}"] += 1
                    if answer.status == 200 and answer.body.count(b"<Key>") != len(keys):
                        wrong.append(f"listed were {answer.body.count(b'<Key>')} keys of {len(keys)}")
                    continue
                method = "HEAD" if turn % 3 == 1 else "GET"
                answer = client(method, f"/{bucket}/{keys[turn % len(keys)]}")
                told[f"{method} {code(answer)}"] += 1
                if method == "GET" and answer.status == 200:
                    etag = f'"{hashlib.md5(answer.body).hexdigest()}"'
                    if answer.body != answer.body[:6] * (len(answer.body) // 6) or answer.headers["ETag"] != etag:
                        wrong.append(f"a body or ETag of no version: {answer.body[:20]!r} {answer.headers['ETag']}")

    with closing(Client(first)) as client:
        for key in keys:
            assert client("PUT", f"/{bucket}/{key}", body=b"000000").status == 200
    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(write)] + [threads.submit(read, others[n % len(others)], n) for n in range(4)]
        time.sleep(4 * rounds)
        stopping.set()
        for each in running:
            each.result()
    print(f"  {dict(sorted(told.items()))}")
    yield from wrong
    yield from (f"{number} answers: {what}" for what, number in told.items() if not what.endswith(" "))


def _recorded(cluster: Cluster, seed: int, meanwhile: Callable[[], None], after: Callable[[], None]) -> Iterator[str]:
    """A history of 8 clients, in turn of two or three objects and of the versions of two keys."""
    keys = (("a", "a/b", "a/b/c"), ("new/x", "new/y"), ("dir/", "dir/x"))[seed % 3]
    bucket = new_bucket(versions=bool(seed % 2))
    recordings: list[Recording] = [Objects(bucket, f"{seed}/", keys)]
    if seed % 2:
        recordings = [Versions(bucket, key) for key in keys[:2]]
    run(recordings, cluster.endpoints, 8, 8, seed, meanwhile)
    after()
    count: Counter[str] = Counter()
    for each in recordings:
        try:
            if found := each.check(cluster.endpoints()):
                yield f"seed {seed}:\n{found}"
        except TooMany:
            print("  not judged: there are too many orders")
        count += each.count
    told = f"{count['operations']} operations, {count['without an answer']} without an answer"
    print(f"  seed {seed}, {'versions' if seed % 2 else 'objects'}: {told}", flush=True)


def _nothing() -> None:
    pass


def histories(cluster: Cluster, rounds: int) -> Iterator[str]:
    """What 8 clients of all hosts see of one key has an order that explains it."""
    for seed in range(rounds):
        yield from _recorded(cluster, seed, _nothing, _nothing)


def histories_daemon(cluster: Cluster, rounds: int) -> Iterator[str]:
    """The same, while the daemon of a host is killed with its mount."""
    for seed in range(rounds):
        host = cluster.hosts[seed % len(cluster.hosts)]
        yield from _recorded(cluster, seed, partial(cluster.kill_daemon, host), partial(cluster.serve, host))


def histories_brick(cluster: Cluster, rounds: int) -> Iterator[str]:
    """The same, while a brick is killed, and comes back and heals."""
    volume = cluster.volume
    for seed in range(rounds):
        host = cluster.hosts[seed % len(cluster.hosts)]

        def meanwhile(host: Any = host) -> None:
            volume.kill_brick(host)

        def after(host: Any = host) -> None:
            volume.start_brick(host)
            volume.wait_for_bricks()
            volume.wait_for_heal()

        yield from _recorded(cluster, seed, meanwhile, after)


def _compared(cluster: Cluster, writers: Writers) -> Iterator[str]:
    """What is not as it was acknowledged, by all hosts, or not the same on all bricks, once that is healed."""
    cluster.volume.wait_for_heal()
    wrong = writers.wrong(cluster.endpoints())
    differ = cluster.volume.differences(Path("data") / writers.bucket)
    print(f"  {writers.keys} keys: {len(wrong)} are not as they were acknowledged, {len(differ)} differ between bricks")
    yield from wrong
    yield from (f"bricks differ: {each}" for each in differ)


def bricks(cluster: Cluster, rounds: int) -> Iterator[str]:
    """A brick of three dies, then another: with one gone all goes on, with two gone nothing is acknowledged."""
    volume, (one, two, _) = cluster.volume, cluster.hosts
    with Writers(balancer.ALL, new_bucket()) as writers:
        print(f"  all bricks: {writers.figures(rounds)}")
        volume.kill_brick(one)
        without_one = writers.figures(rounds)
        print(f"  one gone: {without_one}")
        if not without_one.answered:
            yield "with one brick gone nothing is written"
        volume.kill_brick(two)
        # What was under way.
        print(f"  another dies: {writers.figures(1)}")
        without_two = writers.figures(rounds)
        print(f"  two gone: {without_two}", flush=True)
        if without_two.answered:
            yield f"{without_two.answered} writes were acknowledged by one brick"
        volume.start_brick(one)
        volume.wait_for_bricks()
        print(f"  they come back: {writers.figures()}")
        print(f"  in {volume.wait_for_heal():.0f} s all is healed: {writers.figures()}")
        again = writers.figures(rounds)
        print(f"  all bricks: {again}")
        if not again.answered:
            yield "nothing is written though all bricks are back"
    yield from _compared(cluster, writers)


def power(cluster: Cluster, rounds: int) -> Iterator[str]:
    """A host loses its power, with its brick, mount and daemon, and comes back."""
    volume, victim = cluster.volume, cluster.hosts[-1]
    with Writers(balancer.ALL, new_bucket()) as writers:
        print(f"  all hosts: {writers.figures(rounds)}")
        cluster.kill(victim)
        without = writers.figures(4 * rounds)
        print(f"  one without power: {without}")
        later = writers.figures(rounds)
        print(f"  and then: {later}", flush=True)
        if not later.answered or later.refused:
            yield f"without one host it does not go on: {later}"
        cluster.revive(victim)
        print(f"  it comes back: {writers.figures()}")
        print(f"  in {volume.wait_for_heal():.0f} s all is healed: {writers.figures()}")
        print(f"  all hosts: {writers.figures(rounds)}")
    yield from _compared(cluster, writers)


def _alone(cluster: Cluster, victim: Host, bucket: str, seconds: float) -> tuple[Counter[str], float]:
    """What who asks a host from within it is told, and how long the slowest answer took."""
    answers: Counter[str] = Counter()
    slowest = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        start = time.monotonic()
        try:
            with victim.children(), closing(Client(cluster.daemons[victim].plain)) as client:
                answers[code(client("PUT", f"/{bucket}/alone/{answers.total()}", body=b"alone"))] += 1
        except OSError as error:
            answers[type(error).__name__] += 1
        slowest = max(slowest, time.monotonic() - start)
    return answers, slowest


def cable(cluster: Cluster, rounds: int) -> Iterator[str]:
    """The network cable of a host is pulled: the others go on, and it acknowledges nothing."""
    volume, victim = cluster.volume, cluster.hosts[0]
    bucket = new_bucket()
    with Writers(balancer.ALL, bucket) as writers:
        print(f"  all hosts: {writers.figures(rounds)}")
        victim.plug(into=False)
        answers, slowest = _alone(cluster, victim, bucket, 4 * rounds)
        print(f"  who asks it alone is told {dict(answers)}, slowest {slowest:.1f} s")
        if answers[""]:
            yield f"it acknowledged {answers['']} writes alone"
        print(f"  one cut off: {writers.figures()}")
        later = writers.figures(rounds)
        print(f"  and then: {later}", flush=True)
        if not later.answered or later.refused:
            yield f"without one host it does not go on: {later}"
        victim.plug(into=True)
        volume.wait_for_bricks()
        print(f"  in {volume.wait_for_heal():.0f} s all is healed: {writers.figures()}")
        print(f"  all hosts: {writers.figures(rounds)}")
    yield from _compared(cluster, writers)


SCENARIOS: dict[str, Scenario] = {
    "smoke": smoke,
    "stale": stale,
    "readers": readers,
    "race": race,
    "histories": histories,
    "histories-daemon": histories_daemon,
    "histories-brick": histories_brick,
    "bricks": bricks,
    "power": power,
    "cable": cable,
}
