"""What a system does not replicate is counted apart, by Region, from what clients were told."""

from __future__ import annotations

from checks.judge import judge
from checks.unreplicated import unreplicated_notes
from checks.windows import settings_of, windows_of
from tests.checks.histories import OSAKA_PEER, TARGET, TOKYO, Story

BROKER = {"kinds": ["deposit"], "what": "messages"}


def told(declared: dict[str, object]) -> Story:
    """Five writes: three of Tokyo in time, one of Osaka, one of Tokyo that was refused; and one after the window."""
    story = Story(target=TARGET | {"writes": {"unreplicated": declared}}).window(0, 100)
    for number in range(3):
        story.write(f"t{number}", number, number + 1)
    story.write("o", 50, 51)
    story.writes[-1] = type(story.writes[-1])(**{**vars(story.writes[-1]), "peer": OSAKA_PEER})
    return story.write("r", 60, 61, result="refused").write("late", 150, 151)


def notes_of(story: Story) -> list[str]:
    """The lines of its one window."""
    history = story.history()
    settings = settings_of(history)
    (window,) = windows_of(history, settings.places)
    return list(unreplicated_notes(history, window, settings.places.region_of))


def test_what_other_regions_acknowledged_is_left_behind_there() -> None:
    """Only writes of the declared kinds, acknowledged, before the window was over; the survivor has its own."""
    (line,) = notes_of(told({"broker": BROKER}))
    assert "broker (messages)" in line
    assert f"at most 3 in {TOKYO} of 4 acknowledged deposit" in line
    assert line in judge(told({"broker": BROKER}).history()).notes


def test_a_declaration_that_nothing_was_written_for_is_still_told() -> None:
    """None is a count too; a target that declares nothing has no such line."""
    (line,) = notes_of(told({"cache": {"kinds": ["basket"], "what": "checkouts"}}))
    assert "at most none of 0 acknowledged basket" in line
    assert notes_of(told({})) == []
