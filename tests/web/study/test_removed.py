"""Pages and JSON of a study whose images retention removed: they say so, and do not fail."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from ichnode.worklist import schema
from tests.made import rows


@pytest.fixture
def purged(morning):
    """The morning's first positive study with its images and files gone; there never were any on the disk."""
    result = next(r for r in rows(morning.worklist, schema.results) if r["verdict"] == "positive")
    with morning.worklist.write() as tx:
        tx.execute(update(schema.series).where(schema.series.c.id == result["series_id"])
                   .values(state="purged", purged_at=morning.now()))  # fmt: skip
        tx.execute(delete(schema.instances).where(schema.instances.c.series_id == result["series_id"]))
    (series,) = rows(morning.worklist, schema.series, id=result["series_id"])
    (report,) = rows(morning.worklist, schema.reports, result_id=result["id"])
    return series, report


def test_the_page_says_when_the_images_were_removed(purged, visitor):
    series, _ = purged
    page = visitor("reader").get(f"/studies/{series['study_id']}?series={series['id']}")
    assert page.status_code == 200
    assert "Images removed on 2026-03-01" in page.text
    assert "viewer.js" not in page.text
    assert "/reports/" not in page.text, "no link to a file that is gone"


@pytest.mark.parametrize("what", ["series/{series}/stack", "reports/{report}"])
def test_what_is_gone_is_gone_with_a_sentence(purged, visitor, what):
    series, report = purged
    address = f"/studies/{series['study_id']}/{what.format(series=series['id'], report=report['id'])}"
    answer = visitor("reader").get(address, headers={"Accept": "application/json"})
    assert answer.status_code == 410
    assert answer.json()["error"]["code"] == "IMAGES_REMOVED"
    assert "removed on 2026-03-01" in answer.json()["error"]["sentence"]
