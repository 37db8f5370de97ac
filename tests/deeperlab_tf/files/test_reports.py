"""A report never takes the place of another file."""

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import check_absent, check_page, check_report


def test_a_report_replaces_only_a_report(tmp_path):
    truth = tmp_path / "gt.json"
    write_json(truth, {"images": [], "annotations": [], "categories": []})
    with pytest.raises(UserError, match=r"gt\.json exists already and is not a report"):
        check_report(str(truth), {"pq", "sq"})
    check_report(str(tmp_path / "new.json"), {"pq"})
    write_json(tmp_path / "metrics.json", {"pq": 0.5, "sq": 0.9, "more": 1})
    check_report(str(tmp_path / "metrics.json"), {"pq", "sq"})

    (tmp_path / "page.html").write_text("<title>my notes</title>")
    with pytest.raises(UserError, match=r"page\.html exists already"):
        check_page(str(tmp_path / "page.html"), "<title>Evaluation on ")
    (tmp_path / "page.html").write_text("<title>Evaluation on toy</title>")
    check_page(str(tmp_path / "page.html"), "<title>Evaluation on ")


def test_a_link_counts_as_what_it_leads_to(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("disk")
    check_absent(str(tmp_path / "new"), str(link))
    check_report(str(link), {"pq"})
    check_page(str(link), "<title>Evaluation on ")
    (tmp_path / "disk").write_text("mine")
    with pytest.raises(UserError, match="link exists already; remove it"):
        check_absent(str(tmp_path / "new"), str(link))
    with pytest.raises(UserError, match="link exists already and is not a report"):
        check_report(str(link), {"pq"})
    with pytest.raises(UserError, match="link exists already and is not a report"):
        check_page(str(link), "<title>Evaluation on ")
