"""The kill test in its short form: five points of one training, drawn in its five stretches, one after the other.

`make test-survival` runs the full form. The stretches are of the events that change files, so of all states that a
kill can leave on disk; and a process that goes on passes each later event again.
"""

from tests.survival.place import LINEAR, Place, drawn, pattern_of, require_same


def test_killed_at_five_points_a_run_ends_with_the_bytes_of_one_that_was_left_alone(undisturbed, place: Place):
    other, (ended,) = undisturbed(LINEAR)
    points = drawn(ended.events, 4, seed=8)
    # The fifth: the run is complete, and what it needed is not cleared away.
    points.append(pattern_of("os.remove work/runs/tiny-linear-1/.state/claim.json"))
    for point in points:
        killed = place.run(*LINEAR, kill_on=point)
        assert killed.code == -9, (point, killed.err)
    assert (place.work / "runs" / "tiny-linear-1" / "manifest.json").exists()
    assert place.run(*LINEAR).code == 0
    require_same(place, other)
