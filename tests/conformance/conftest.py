"""The suites' asserts explain themselves as those of tests do."""

import pytest

pytest.register_assert_rewrite("tests.conformance.answers", "tests.conformance.chat_model")
