from __future__ import annotations

import json

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.report.content import Check, CheckSlope, StudyContent


def test_content_survives_a_trip_through_json(sample):
    assert StudyContent.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_a_new_study_needs_nothing_but_its_name_and_settings():
    content = StudyContent.from_json(
        {
            "title": "new",
            "unit": "tokens",
            "metric": "loss",
            "rule": "mup",
            "optimizer": "adamw",
            "made_at": "",
        }
    )
    assert (content.law, content.sweeps, content.rules) == (None, (), ("mup",))


def test_a_step_may_say_more_than_the_report_shows(sample, sample_value):
    sample_value["check"]["mup"]["axes"] = [{"axis": "width"}]
    assert StudyContent.from_json(sample_value) == sample


def test_a_damaged_file_is_named_by_the_field(sample_value):
    sample_value["sweeps"][2]["points"][3]["lr"] = "fast"
    with pytest.raises(WindtunnelError, match=r"sweeps\.2\.points\.3\.lr"):
        StudyContent.from_json(sample_value)


def test_the_chosen_rule_comes_first(sample):
    assert sample.rules == ("mup", "sp")


def test_steepest_judges_the_last_step_by_size_not_sign_and_the_unfitted_as_worst():
    slopes = [CheckSlope("a", "update", "width", 5, value) for value in (0.1, -0.7, None, 0.3)]
    earlier = CheckSlope("a", "update", "width", 4, 9.0)
    check = Check("fail", slopes=(earlier, *slopes))
    assert [slope.slope for slope in check.steepest(3)] == [None, -0.7, 0.3]
