"""axe-core finds no serious and no critical fault on any page, by day and by night."""

import pytest

from tests.browser.test_browser import RUN, choose, drawn
from tests.conftest import is_full

Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe

ADDRESSES = {
    "gallery": "/",
    "empty": RUN,
    "answer": RUN,
    "findings": "/runs/films",
    "compare": "/compare?run=fundus&run=fundus-rough",
    "error": "/compare?run=fundus",
}


# The page of findings has the parts of an answer, which the page without one has too.
FULL = ("empty", "findings")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full if name in FULL else ()) for name in ADDRESSES]
)
def test_no_serious_fault(page, context, name, seen):
    page.goto(ADDRESSES[name])
    if name in ("answer", "findings"):
        run = ADDRESSES[name].rpartition("/")[2]
        choose(page, drawn(context, 2, run), drawn(context, 3, run))
    faults = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        # By night nothing is another but the colours.
        rules = {} if scheme == "light" or is_full() else {"runOnly": ["color-contrast", "link-in-text-block"]}
        found = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]
        faults += [
            f"{scheme}: {fault['id']}: {node['target']}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
    assert faults == []
    seen.messages.clear()
