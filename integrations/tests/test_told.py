from __future__ import annotations

import json

from django.utils.translation import override

from integrations.canonical import Problem
from integrations.mapping.transforms import Refused
from integrations.told import kept, problem_of, row_of, told, words, words_of

NUMBER = "“%(value)s” is not a number."
LINE = "An order has at most %(limit)d lines."


def test_a_sentence_is_read_again_in_another_language():
    with override("zh-hans"):
        row = json.loads(json.dumps(row_of(Problem("qty", told(NUMBER) % {"value": "x"}))))

    with override("en"):
        assert words_of(row) == "“x” is not a number."
    with override("zh-hans"):
        assert words_of(row) == row["error"]
        assert row["error"] != "“x” is not a number."


def test_a_sentence_survives_being_passed_on_as_an_error():
    with override("zh-hans"):
        error = Refused(told(LINE) % {"limit": 7})
        assert kept(str(error)) == {"id": LINE, "params": {"limit": 7}}


def test_a_sentence_inside_a_sentence_is_read_too():
    with override("zh-hans"):
        inner = told("The body is not JSON: %(why)s.") % {"why": told(LINE) % {"limit": 3}}

    with override("en"):
        assert words(inner, kept(inner)) == "The body is not JSON: An order has at most 3 lines.."


def test_text_without_memory_or_with_a_damaged_one_stays_as_written():
    assert words_of({"field": "", "error": "as it was"}) == "as it was"
    assert words("as it was", {"id": NUMBER, "params": {"other": 1}}) == "as it was"
    assert kept("plain") == {}


def test_a_kept_problem_comes_back_whole():
    problem = Problem("qty", told(NUMBER) % {"value": "x"})

    assert kept(problem_of(row_of(problem)).error) == kept(problem.error)
    assert problem_of(row_of(Problem("qty", "plain"))) == Problem("qty", "plain")
