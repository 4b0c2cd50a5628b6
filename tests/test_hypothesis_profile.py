"""Settings of property tests."""

from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.none())
def test_property_tests_have_no_deadline(_: None) -> None:
    """Also in a run of one file, in any process of pytest-xdist: the profile is loaded by tests/conftest.py."""
    assert settings().deadline is None
