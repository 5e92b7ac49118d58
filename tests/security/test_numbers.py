"""Each attack of the project's list, 1 to 44, has tests: those that have its number in their name, and these here.

The list is of faults that other S3 servers and HTTP servers in Python had; a test names its number, ``test_24_...``.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

#: Tests by number that do not bear it in their names, as they are about more than that.
ELSEWHERE = {
    13: ["unit/test_sigv4.py::test_signatures_are_compared_in_constant_time_only"],
    14: ["wire/test_attempts.py::test_wrong_signatures_are_answered_later_with_the_same_words"],
    16: ["unit/test_generated_credentials.py::test_two_directories_get_different_keys"],
    18: ["wire/test_guard.py::test_a_head_without_a_signature_tells_nothing"],
    19: [
        "wire/test_operations_posts.py::test_a_form_that_its_policy_does_not_allow_is_refused",
        "wire/test_operations_posts.py::test_the_size_of_the_file_must_be_in_the_range",
        "wire/test_operations_posts.py::test_a_policy_expires",
        "wire/test_operations_posts.py::test_fields_behind_the_file_count_for_nothing",
    ],
    21: ["wire/test_attempts.py::test_forwarded_for_is_not_believed"],
    23: ["wire/test_operations_posts.py::test_a_key_is_a_name_and_no_path"],
    24: ["unit/test_store_files.py::test_links_and_special_files_are_neither_listed_nor_opened"],
    25: ["unit/test_store_layout.py::test_two_keys_never_share_a_place"],
    27: ["wire/test_transport_malformed.py::test_malformed_request_is_refused"],
    28: ["wire/test_transport_malformed.py::test_absolute_form_is_normalised_and_replaces_host"],
    29: [
        "wire/test_guard.py::test_a_denied_upload_is_refused_before_its_body",
        "e2e/test_requests.py::test_a_denied_upload_that_awaits_100_continue_hears_403_and_sends_nothing",
    ],
    31: ["wire/test_transport_requests.py::test_pipelined_requests_beyond_a_limit_stay_in_the_network"],
    32: ["unit/test_ranges.py::test_no_text_breaks_it"],
    33: ["wire/test_transport_errors.py::test_line_breaks_in_a_header_do_not_split_the_response"],
    35: ["unit/test_cors.py::test_security_35_a_rule_for_everybody_names_nobody_and_takes_no_credentials"],
    36: ["unit/test_xml.py::test_a_refused_document_takes_no_memory"],
    37: ["wire/test_transport_limits.py::test_head_has_a_deadline_that_no_byte_prolongs"],
    42: [
        "e2e/test_requests.py::test_secrets_and_signatures_are_not_logged",
        "unit/test_accesslog.py::test_whatever_a_client_sends_stays_one_line_of_the_same_fields",
    ],
    43: [
        "unit/test_users.py::test_file_open_to_others_is_refused",
        "unit/test_generated_credentials.py::test_mode_is_0600_whatever_the_umask",
    ],
    44: [
        "wire/test_locking.py::test_where_the_configuration_is_garbled_nothing_is_written_or_unlocked",
        "wire/test_locking.py::test_where_the_configuration_is_damaged_nothing_is_removed",
    ],
}


@pytest.fixture(scope="module")
def defined():
    """The names of the tests of each module, by its path below the tests."""
    found = {}
    for path in TESTS.rglob("test_*.py"):
        names = re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
        found[str(path.relative_to(TESTS))] = set(names)
    return found


@pytest.mark.parametrize("number", range(1, 45))
def test_every_attack_of_the_list_has_a_test_that_is_named_by_it(defined, number):
    named = [name for names in defined.values() for name in names if re.match(rf"test_(\d+_)*{number}_", name)]
    assert named
    for each in ELSEWHERE.get(number, []):
        path, _, name = each.partition("::")
        assert name in defined[path], each
