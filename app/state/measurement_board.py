"""The measurements of the case on screen: added, moved, deleted, selected by handle, undone and redone.

Also remembers the reader's marks as steps to undo, but keeps none of them: they belong to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from app.state.measurements import Measurement, MeasurementKind, Point, shifted, with_point

MOST_STEPS = 500


class Mark(Protocol):
    """A reader's mark as far as undo needs it."""

    @property
    def finding_id(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementStep:
    """One change: None before = it was added, None after = it was deleted."""

    before: Measurement | None
    after: Measurement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkStep:
    """A mark was added to the log, or removed there."""

    mark: Mark
    added: bool


Step = MeasurementStep | MarkStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What keys act on: a measurement and one of its handles; ``handle`` None = the whole."""

    measurement_id: str
    handle: int | None = None


class MeasurementBoard:
    """Keeps what was measured in one case; ``changed`` is called after every change."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._items: dict[str, Measurement] = {}
        self._told: dict[str, Measurement] = {}
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._ghost: Measurement | None = None
        self._next = 1
        self.selection: Selection | None = None

    # ------------------------------------------------------------ reading

    def items(self) -> tuple[Measurement, ...]:
        """Everything that was measured, in the order it was begun."""
        return tuple(self._items.values())

    def on_image(self, image_key: str) -> tuple[Measurement, ...]:
        """What lies on one image, what is just being drawn included."""
        found = [item for item in self._items.values() if item.image_key == image_key]
        ghost = self._ghost
        if ghost is not None and ghost.image_key == image_key:
            found = [item for item in found if item.measurement_id != ghost.measurement_id] + [ghost]
        return tuple(found)

    def get(self, measurement_id: str) -> Measurement | None:
        return self._items.get(measurement_id)

    def nipple(self, image_key: str) -> Point | None:
        """Return the nipple marked on an image, stored (row, col)."""
        return next((i.points[0] for i in self.on_image(image_key) if i.kind is MeasurementKind.NIPPLE), None)

    def news(self) -> tuple[tuple[Measurement | None, Measurement | None], ...]:
        """Return what is new, other or gone since this was asked last or the case began, each as before and after."""
        before, after = self._told, dict(self._items)
        self._told = after
        names = [name for name in before | after if before.get(name) != after.get(name)]
        return tuple((before.get(name), after.get(name)) for name in names)

    # ------------------------------------------------------------ changing

    def restore(self, items: Iterable[Measurement] = ()) -> None:
        """Begin a case with these measurements and nothing to undo."""
        self._items = {item.measurement_id: item for item in items}
        self._told = dict(self._items)
        self._done, self._undone = [], []
        self._ghost = self.selection = None
        self._changed()

    def new_id(self) -> str:
        """Return an id that is free in this case."""
        while (name := f"m{self._next}") in self._items:
            self._next += 1
        self._next += 1
        return name

    def draw(self, ghost: Measurement | None) -> None:
        """Show a measurement that is still being drawn; it is not kept and cannot be undone."""
        self._ghost = ghost
        self._changed()

    def put(self, item: Measurement) -> None:
        """Keep a new measurement, or a known one in its new form; a second nipple replaces the first."""
        self._ghost = None
        before = self._items.get(item.measurement_id)
        if before is None and item.kind is MeasurementKind.NIPPLE:
            old = [i for i in self._items.values() if (i.kind, i.image_key) == (item.kind, item.image_key)]
            if old:
                before, item = old[0], replace(item, measurement_id=old[0].measurement_id)
        if before != item:
            self._did(MeasurementStep(before=before, after=item))
            self._items[item.measurement_id] = item
        self.selection = Selection(measurement_id=item.measurement_id, handle=len(item.points) - 1)
        self._changed()

    def remove(self, measurement_id: str) -> bool:
        """Delete a measurement; False when there is none of that id."""
        item = self._items.pop(measurement_id, None)
        if item is None:
            return False
        self._did(MeasurementStep(before=item, after=None))
        if self.selection is not None and self.selection.measurement_id == measurement_id:
            self.selection = None
        self._changed()
        return True

    def remove_selected(self) -> bool:
        """Delete what is selected; False when nothing is."""
        return self.selection is not None and self.remove(self.selection.measurement_id)

    def move_selected(self, rows: float, cols: float) -> bool:
        """Move the selected handle (or the whole) by stored pixels; False when nothing is selected."""
        if self.selection is None or (item := self._items.get(self.selection.measurement_id)) is None:
            return False
        kept = self.selection
        if kept.handle is None:
            self.put(shifted(item, rows, cols))
        else:
            row, col = item.points[kept.handle]
            self.put(with_point(item, kept.handle, (row + rows, col + cols)))
        self.selection = kept
        self._changed()
        return True

    def select(self, selection: Selection | None) -> None:
        if selection != self.selection:
            self.selection = selection
            self._changed()

    def cycle(self, image_keys: Iterable[str], step: int = 1) -> bool:
        """Select the next handle (-1: the one before) of what lies on these images; False when nothing does."""
        keys = set(image_keys)
        handles = [
            Selection(measurement_id=item.measurement_id, handle=handle)
            for item in self._items.values()
            if item.image_key in keys
            for handle in (*range(len(item.points)), *((None,) if len(item.points) > 1 else ()))
        ]
        if not handles:
            return False
        at = handles.index(self.selection) + step if self.selection in handles else min(step, 0)
        self.select(handles[at % len(handles)])
        return True

    # ------------------------------------------------------------ undo

    def note_mark(self, mark: Mark, *, added: bool) -> None:
        """Remember that the log took a mark, or took one back, so that it can be undone."""
        self._did(MarkStep(mark=mark, added=added))

    def _did(self, step: Step) -> None:
        self._done.append(step)
        del self._done[:-MOST_STEPS]
        self._undone.clear()

    def peek(self, *, redo: bool = False) -> Step | None:
        """Return the step that undo (or redo) would take; None when there is none."""
        steps = self._undone if redo else self._done
        return steps[-1] if steps else None

    def retrace(self, *, redo: bool = False) -> Step | None:
        """Undo the last step (or redo the one undone last) and return it.

        A mark's step only changes lists: the caller has told the log already.
        """
        if redo:
            return self._move(self._undone, self._done, back=False)
        return self._move(self._done, self._undone, back=True)

    def _move(self, source: list[Step], target: list[Step], *, back: bool) -> Step | None:
        if not source:
            return None
        step = source.pop()
        target.append(step)
        if isinstance(step, MeasurementStep):
            gone, come = (step.after, step.before) if back else (step.before, step.after)
            if come is not None:
                self._items[come.measurement_id] = come
            elif gone is not None:
                self._items.pop(gone.measurement_id, None)
            if self.selection is not None and self.selection.measurement_id not in self._items:
                self.selection = None
        self._changed()
        return step
