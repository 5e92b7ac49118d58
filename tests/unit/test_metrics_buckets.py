"""Labels of buckets: bounded, and the same for all workers."""

from hypothesis import given
from hypothesis import strategies as st

from zs3.metrics.buckets import NONE, OTHER, BucketNames


def test_a_bucket_gets_a_label_with_its_first_success():
    names = BucketNames()
    assert names.label("photos", used=False) == OTHER
    assert names.label("photos", used=True) == "photos"
    assert names.label("photos", used=False) == "photos"
    assert names.label("", used=False) == NONE


def test_only_so_many_buckets_are_told_apart():
    names = BucketNames(2)
    assert [names.label(each, used=True) for each in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_workers_tell_the_same_buckets_apart(tmp_path):
    first, second = (BucketNames(2, str(tmp_path / "buckets")) for _ in range(2))
    assert first.label("a", used=True) == "a"
    assert second.label("b", used=True) == "b"
    assert [each.label("c", used=True) for each in (first, second)] == [OTHER, OTHER]
    assert [each.label("b", used=True) for each in (first, second)] == ["b", "b"]


def test_a_worker_that_replaces_another_makes_no_further_labels(tmp_path):
    for bucket in ("a", "b", "c"):
        BucketNames(2, str(tmp_path / "buckets")).label(bucket, used=True)
    assert BucketNames(2, str(tmp_path / "buckets")).label("c", used=True) == OTHER


def test_where_memory_is_full_a_bucket_is_one_of_the_others(tmp_path):
    names = BucketNames(2, str(tmp_path / "absent" / "buckets"))
    assert names.label("a", used=True) == OTHER
    (tmp_path / "absent").mkdir()
    assert names.label("a", used=True) == "a"


def test_where_memory_was_full_in_the_midst_of_a_name_no_request_fails(tmp_path):
    (tmp_path / "buckets").write_text('"a"\n"b')
    assert BucketNames(5, str(tmp_path / "buckets")).label("c", used=True) == OTHER


@given(st.lists(st.tuples(st.text(min_size=1, max_size=3), st.booleans(), st.integers(0, 2))))
def test_there_are_never_more_labels_than_that(tmp_path_factory, uses):
    path = str(tmp_path_factory.mktemp("names") / "buckets")
    workers = [BucketNames(3, path) for _ in range(3)]
    labels = {workers[worker].label(bucket, used=used) for bucket, used, worker in uses}
    assert len(labels - {OTHER}) <= 3
