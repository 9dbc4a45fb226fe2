"""The one table of commands: id, title, default keys, group. Menus, F1 and tooltips are made from it.

What a command does is bound by the window; what it is called and which key it has stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from resources.translation import translate


def _tr(text: str) -> str:
    return translate("commands", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing the user can ask for; ``keys`` are portable key texts, the first is shown in tooltips."""

    command_id: str
    title: str
    keys: tuple[str, ...]
    group: str
    ai: bool = False  # absent, not greyed, where the arm shows no AI


def _c(command_id: str, title: str, keys: str, group: str, *, ai: bool = False) -> Command:
    return Command(command_id=command_id, title=title, keys=tuple(keys.split()), group=group, ai=ai)


COMMANDS: tuple[Command, ...] = (
    _c("stage.next", "Next hanging step", "Space", "Hanging"),
    _c("stage.back", "Previous hanging step", "Shift+Space", "Hanging"),
    *(_c(f"stage.{n}", f"Hanging step {n}", str(n), "Hanging") for n in range(1, 10)),
    _c("cesm.toggle", "Low-energy / recombined in place", "C", "Hanging"),
    _c("prior.toggle", "Current / prior in place", "Y", "Hanging"),
    _c("stack.next", "Next duplicate or part of the view", "D", "Hanging"),
    _c("hanging.choose", "Hanging protocols", "F7", "Hanging"),
    _c("hanging.why", "Why is this image here?", "Shift+F2 ?", "Hanging"),
    _c("strip.fold", "Thumbnails of all images", "F8", "Hanging"),
    _c("exam.next", "Next exam of the list", "PgDown", "Hanging"),
    _c("exam.back", "Previous exam of the list", "PgUp", "Hanging"),
    _c("tool.window", "Window/level tool", "W", "Tools"),
    _c("tool.zoom", "Zoom tool", "Z", "Tools"),
    _c("tool.pan", "Pan tool", "P", "Tools"),
    _c("tool.magnifier", "Magnifier", "M", "Tools"),
    _c("tool.glass_invert", "Magnifier inverted", "Shift+M", "Tools"),
    _c("tool.ruler", "Ruler", "R", "Tools"),
    _c("tool.angle", "Angle", "Shift+R", "Tools"),
    _c("tool.ellipse", "Ellipse with values (ROI)", "O", "Tools"),
    _c("tool.text", "Annotation text", "L", "Tools"),
    _c("tool.nipple", "Mark the nipple", "N", "Tools"),
    _c("tool.arc", "Nipple-distance arc of the pointer", "Shift+N", "Tools"),
    _c("measure.next", "Next handle of a measurement", "Tab", "Tools"),
    _c("measure.previous", "Previous handle of a measurement", "Shift+Tab", "Tools"),
    _c("measure.remove", "Delete the measurement", "Delete Backspace", "Tools"),
    _c("tool.mark", "Mark a lesion", "X", "Tools"),
    _c("mark.confirm", "Confirm the mark", "Return Enter", "Tools"),
    _c("mark.cancel", "Cancel the mark", "Esc", "Tools"),
    _c("mark.undo", "Undo the last mark or measurement", "Ctrl+Z", "Tools"),
    _c("mark.redo", "Redo", "Ctrl+Shift+Z Ctrl+Y", "Tools"),
    _c("view.invert", "Invert grey scale", "I", "View"),
    _c("view.reset", "Reset window, zoom and pan", "0", "View"),
    _c("view.fit", "Fit to viewport", "F", "View"),
    _c("view.same", "Same size in all viewports", "Shift+S", "View"),
    _c("view.actual", "Actual pixels (1:1)", "A", "View"),
    _c("view.true", "True size (calibrated monitor)", "Ctrl+T", "View"),
    _c("view.quadrant_next", "Next quadrant at 1:1", "E", "View"),
    _c("view.quadrant_back", "Previous quadrant at 1:1", "Q", "View"),
    _c("view.flip_h", "Flip left and right", "Ctrl+H", "View"),
    _c("view.flip_v", "Flip top and bottom", "Ctrl+J", "View"),
    _c("view.link_place", "Zoom, pan and flips linked / free", "Ctrl+L", "View"),
    _c("view.link_window", "Window linked / free", "Shift+L", "View"),
    _c("view.link_cursor", "Linked cursor on / off", "Shift+C", "View"),
    _c("view.enhance", "Local contrast enhanced (CLAHE) / original", "G", "View"),
    _c("view.grid", "10 mm grid", "Shift+G", "View"),
    _c("view.zoom_in", "Zoom in", "Ctrl+=", "View"),
    _c("view.zoom_out", "Zoom out", "Ctrl+-", "View"),
    _c("view.voi", "Next window preset of the image", "V", "View"),
    _c("view.left", "Pan left", "Left", "View"),
    _c("view.right", "Pan right", "Right", "View"),
    _c("view.up", "Pan up", "Up", "View"),
    _c("view.down", "Pan down", "Down", "View"),
    _c("image.tags", "Image information: all tags (not in a study)", "Ctrl+I", "View"),
    _c("image.kind", "Say which kind the image is (not in a study)", "Ctrl+E", "View"),
    _c("view.technique", "Technique and equipment on / off", "T", "View"),
    _c("view.identity", "Identity on / off (not in a study)", "Shift+T", "View"),
    _c("ai.boxes", "AI boxes", "B", "AI", ai=True),
    _c("ai.heat", "AI heat map", "H", "AI", ai=True),
    _c("ai.score", "AI scores", "S", "AI", ai=True),
    _c("ai.opacity_down", "Heat map fainter", "[", "AI", ai=True),
    _c("ai.opacity_up", "Heat map stronger", "]", "AI", ai=True),
    _c("ai.threshold_down", "Lower box threshold", "-", "AI", ai=True),
    _c("ai.threshold_up", "Higher box threshold", "=", "AI", ai=True),
    _c("ai.all", "All of the AI on / off", "Shift+A", "AI", ai=True),
    _c("ai.next", "Next AI finding", "U", "AI", ai=True),
    _c("ai.previous", "Previous AI finding", "Shift+U", "AI", ai=True),
    _c("ai.model", "Next AI model", "Shift+B", "AI", ai=True),
    _c("cad.marks", "CAD marks of other makers", "K", "AI", ai=True),
    _c("cad.point", "CAD operating point", "Shift+K", "AI", ai=True),
    _c("ai.save", "Save AI result as CAD SR …", "Ctrl+Shift+S", "AI", ai=True),
    _c("image.key", "Key image on / off", "Ctrl+K", "View"),
    _c("keys.save", "Save key images …", "Ctrl+Shift+K", "View"),
    _c("display.next", "Next saved display", "Ctrl+D", "View"),
    _c("display.save", "Save display as presentation state …", "Ctrl+S", "View"),
    _c("pacs.send", "Send AI result, display and key images to the PACS …", "Ctrl+Alt+S", "AI", ai=True),
    _c("view.picture", "Picture of the view (PNG, not in a study) …", "Ctrl+P", "View"),
    _c("case.submit", "Submit the case", "F12", "Reading"),
    _c("case.pause", "Pause and blank", "Pause Ctrl+B", "Reading"),
    _c("case.look_back", "Look back at locked answers (where the study allows it)", "Shift+F12", "Reading"),
    _c("form.focus", "Go to the assessment form", "F2", "Reading"),
    _c("panel.fold", "Fold the side panel", "F9", "Reading"),
    _c("panel.detach", "Side panel in a window of its own", "Shift+F9", "Reading"),
    _c("view.next", "Next viewport", ".", "View"),
    _c("view.previous", "Previous viewport", ",", "View"),
    _c("view.full", "Viewport full / back", "Shift+F", "View"),
    _c("help.keys", "Keys", "F1", "Help"),
    _c("settings.open", "Settings", "Ctrl+,", "Help"),
    _c("exams.open", "Open exams without a study", "Ctrl+O", "Sign in"),
    _c("pacs.open", "Search the PACS", "Ctrl+Shift+O", "Sign in"),
    _c("study.plan", "Plan a study: power and sample size", "Ctrl+Shift+P", "Sign in"),
    _c("study.analyse", "Analyse a study", "Ctrl+Shift+A", "Sign in"),
    _c("session.sign_out", "Sign out", "Ctrl+Q", "Sign in"),
    _c("help.about", "About", "Shift+F1", "Help"),
    _c("session.leave", "Back to the work list", "Ctrl+W", "Reading"),
)


def command_table(bindings: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Command]:
    """Return commands by id with the user's own keys put in; ValueError names two commands on one key."""
    table: dict[str, Command] = {}
    taken: dict[str, Command] = {}
    for command in COMMANDS:
        keys = (bindings or {}).get(command.command_id, command.keys)
        for key in keys:
            other = taken.get(key.casefold())
            if other is not None:
                raise ValueError(
                    _tr(
                        "Key {0}: expected one command, found “{1}” and “{2}”; give one of them another key."
                    ).format(key, shown_title(other), shown_title(command))
                )
            taken[key.casefold()] = command
        table[command.command_id] = replace(command, keys=keys)
    return table


def rebound(
    bindings: Mapping[str, tuple[str, ...]], command_id: str, keys: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return the user's keys with one command's replaced (MG-42).

    Raises
    ------
    ValueError
        The key belongs to another command: one sentence that names both; or there would be no key left.
    """
    command = next(command for command in COMMANDS if command.command_id == command_id)
    if not keys:
        raise ValueError(_tr("“{0}”: expected a key, found none; press one.").format(shown_title(command)))
    table = command_table(usable(bindings)[0])
    for key in keys:
        for other in table.values():
            if other.command_id != command_id and key.casefold() in {k.casefold() for k in other.keys}:
                raise ValueError(
                    _tr(
                        "Key {0}: wanted for “{1}”, but it belongs to “{2}”; choose another key, or change that "
                        "command first."
                    ).format(key, shown_title(command), shown_title(other))
                )
    changed = dict(bindings) | {command_id: keys}
    if keys == command.keys:
        del changed[command_id]
    return changed


def usable(bindings: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the kept keys that can be used together, and a sentence for each that cannot.

    Kept keys may clash with commands that a newer version brought, or belong to commands that it dropped.
    """
    known = {command.command_id for command in COMMANDS}
    kept: dict[str, tuple[str, ...]] = {}
    refused: list[str] = []
    for command_id, keys in bindings.items():
        if command_id not in known or not keys:
            continue
        try:
            command_table(kept | {command_id: keys})
        except ValueError as error:
            refused.append(str(error))
            continue
        kept[command_id] = keys
    return kept, tuple(refused)


def tooltip(command: Command) -> str:
    """Title and key, as every control's tooltip says it."""
    title = shown_title(command)
    return f"{title}  ({command.keys[0]})" if command.keys else title


def shown_title(command: Command) -> str:
    """The command's title in the reader's language."""
    return _tr(command.title)
