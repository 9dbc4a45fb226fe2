"""The one window: sign in, work list, reading, exams. Binds keys to commands and screens to the controllers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QLabel, QMainWindow, QStackedWidget, QWidget

from app.control.browsing import BrowseController
from app.control.case_objects import ObjectWriter
from app.control.commands import command_table, usable
from app.control.model_rules import study_rules
from app.control.picture_export import PictureWriter
from app.control.reading import ReadingController
from app.state.ai_view import AiView
from app.state.display import Change
from app.state.measurements import Measurement
from app.state.settings import Settings
from app.state.tone import Tone
from app.views import dialogs
from app.views.coordinator.area import CoordinatorArea
from app.views.exam_browser import ExamBrowser
from app.views.first_look import watch_first_looks
from app.views.hanging_editor import HangingEditor
from app.views.image_facts import ImageFacts
from app.views.pacs_area import PacsArea
from app.views.picture_export import PictureExport
from app.views.preferences import Preferences
from app.views.qt_tasks import QtTaskRunner
from app.views.reading_view import ReadingView
from app.views.sign_in import SignInView
from app.views.signing import SessionSigning
from app.views.study_desk import StudyDesk
from app.views.worklist_panel import WorklistView
from app.workstation import Workstation
from inference.exam.sources import ImportReport
from inference.exam.types import ExamSummary
from reader_study.domain.assessment import Assessment
from reader_study.domain.study import Reader
from resources.files import UserFacingError

if TYPE_CHECKING:
    from app.views.model_picker import ModelPicker
    from app.views.settings_view import SettingsView

IDLE_S = 60.0
MEASURING = ("ruler", "angle", "ellipse", "text", "nipple")
PAN_STEPS = {
    "view.left": (0.0, 80.0),
    "view.right": (0.0, -80.0),
    "view.up": (80.0, 0.0),
    "view.down": (-80.0, 0.0),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate("main", text)


class MainWindow(QMainWindow):
    """Everything on screen; what it needs comes in one ``Workstation``."""

    def __init__(self, workstation: Workstation, *, version: str) -> None:
        super().__init__()
        self.setWindowTitle(_tr("Negatoscope – research use only"))
        self.resize(1600, 1000)
        self._station, self._version = workstation, version
        self.runner = QtTaskRunner(self)
        self._reader: Reader | None = None
        self._controller: ReadingController | None = None
        self._browser: BrowseController | None = None
        self._writer: ObjectWriter | None = None
        self._report = ImportReport()
        self._opened: Path | None = None  # what the exams on the list were read from
        self._dialog: QDialog | None = None
        self._was_shown = False
        self.stack = QStackedWidget()
        self.setCentralWidget(self.stack)
        self.sign_in, self.worklist = SignInView(), WorklistView()
        self.reading, self.exams = ReadingView(), ExamBrowser()
        self._facts = ImageFacts(
            self.reading, lambda: self._browser if self._controller is None else None, self._open_dialog
        )
        writer = PictureWriter(
            runner=self.runner, clock=workstation.clock, say=self._confirm, refuse=self._refuse
        )
        self._pictures = PictureExport(self.reading, writer, self._open_dialog)
        self.done = QLabel("")
        self.done.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.done.setProperty("role", "heading")
        for page in (self.sign_in, self.worklist, self.reading, self.exams, self.done):
            self.stack.addWidget(page)
        self.area = CoordinatorArea(workstation, self.stack, self.runner)
        self.pacs = PacsArea(workstation, self.stack)
        self.preferences = Preferences(self, self.reading, self._station.settings, self._today)
        self.settings: SettingsView | None = None
        self.desk = StudyDesk(self.stack, self.runner, self._show_sign_in)
        self.signing = SessionSigning(workstation, self)
        self._before_settings: QWidget = self.sign_in
        self._commands = command_table(usable(self.preferences.settings.keys)[0])
        self._shortcuts: dict[str, list[QShortcut]] = {}
        self._bind()
        self._connect()
        self._idle = QTimer(self)
        self._idle_s, self._idle_runs = IDLE_S, 0
        self._last_input_ns = workstation.clock.monotonic_ns()
        self._is_active = True
        self._idle.setInterval(round(IDLE_S * 1000))
        self._idle.timeout.connect(self._on_idle)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.installEventFilter(self)
        app.applicationStateChanged.connect(self._on_application_state)
        self._show_sign_in()

    @property
    def controller(self) -> ReadingController | None:
        """The open reading session, None elsewhere."""
        return self._controller

    def is_case_painted(self) -> bool:
        """True while a case is on screen and its clock runs."""
        return (
            self._controller is not None and self._controller.case is not None and self._controller.is_painted
        )

    def _confirm(self, sentence: str) -> None:
        self.reading.show_message(sentence, Tone.OK)

    def _refuse(self, sentence: str) -> None:
        self.reading.show_message(sentence, Tone.ERROR)

    # ---- wiring

    def _actions(self) -> Mapping[str, Callable[[], object]]:
        view, do, tools = self.reading, self.reading.do, self.reading.image_tools
        ai = view.ai_layers
        actions: dict[str, Callable[[], object]] = {
            "stage.next": lambda: view.step(1),
            "stage.back": lambda: view.step(-1),
            "cesm.toggle": view.toggle_energy,
            "prior.toggle": view.toggle_prior,
            "stack.next": view.next_of_stack,
            "hanging.choose": self._choose_hanging,
            "hanging.why": self._show_why,
            "image.tags": self._facts.show_tags,
            "image.kind": self._facts.choose_kind,
            "strip.fold": view.hanging.toggle_strip,
            "exam.next": partial(self._step_exam, 1),
            "exam.back": partial(self._step_exam, -1),
            "tool.window": lambda: view.set_tool("window"),
            "tool.zoom": lambda: view.set_tool("zoom"),
            "tool.pan": lambda: view.set_tool("pan"),
            "tool.magnifier": lambda: view.set_tool("magnifier"),
            "tool.mark": lambda: view.set_tool("mark"),
            **{f"tool.{name}": partial(view.set_tool, name) for name in MEASURING},
            "tool.glass_invert": tools.invert_magnifier,
            "tool.arc": tools.toggle_arc,
            "measure.next": lambda: view.cycle(1),
            "measure.previous": lambda: view.cycle(-1),
            "measure.remove": tools.board.remove_selected,
            "mark.confirm": view.confirm_mark,
            "mark.cancel": view.cancel_mark,
            "mark.undo": view.undo,
            "mark.redo": view.redo,
            "view.invert": lambda: do(Change.INVERT),
            "view.reset": lambda: do(Change.RESET),
            "view.fit": lambda: do(Change.FIT),
            "view.same": lambda: do(Change.SAME),
            "view.actual": lambda: do(Change.ACTUAL),
            "view.true": tools.true_size,
            "view.quadrant_next": lambda: tools.step_quadrant(1),
            "view.quadrant_back": lambda: tools.step_quadrant(-1),
            "view.flip_h": lambda: do(Change.FLIP_H),
            "view.flip_v": lambda: do(Change.FLIP_V),
            "view.link_place": tools.toggle_linked_place,
            "view.link_window": tools.toggle_linked_window,
            "view.link_cursor": tools.toggle_cursor,
            "view.enhance": tools.enhancement.toggle,
            "view.grid": tools.toggle_grid,
            "view.zoom_in": lambda: do(Change.ZOOM, 1.25),
            "view.zoom_out": lambda: do(Change.ZOOM, 0.8),
            "view.voi": lambda: do(Change.NEXT_VOI),
            "view.technique": view.toggle_technique,
            "view.identity": view.toggle_identity,
            "ai.boxes": lambda: ai.toggle("boxes"),
            "ai.heat": lambda: ai.toggle("heatmap"),
            "ai.score": lambda: ai.toggle("score"),
            "ai.opacity_down": lambda: ai.change_opacity(-1),
            "ai.opacity_up": lambda: ai.change_opacity(1),
            "ai.threshold_down": lambda: ai.change_threshold(-1),
            "ai.threshold_up": lambda: ai.change_threshold(1),
            "ai.all": ai.toggle_all,
            "ai.next": lambda: view.next_finding(1),
            "ai.previous": lambda: view.next_finding(-1),
            "ai.model": ai.next_model,
            "cad.marks": view.objects.toggle_cad,
            "cad.point": view.objects.step_operating_point,
            "image.key": view.objects.toggle_key,
            "display.next": view.objects.next_display,
            "ai.save": partial(self._save_object, "ai"),
            "display.save": partial(self._save_object, "display"),
            "keys.save": partial(self._save_object, "keys"),
            "view.picture": self._pictures.ask,
            "case.submit": view.submit,
            "case.pause": self._pause,
            "case.look_back": self._look_back,
            "form.focus": view.focus_form,
            "panel.fold": view.fold_panel,
            "panel.detach": lambda: view.toggle_panel_apart(self.preferences.settings.panel_place),
            "view.next": lambda: view.step_viewport(1),
            "view.previous": lambda: view.step_viewport(-1),
            "view.full": view.grid.maximise,
            "settings.open": self._show_settings,
            "exams.open": self._choose_exams,
            "pacs.open": self.pacs.show,
            "pacs.send": self._send_to_pacs,
            "study.plan": self.desk.show_planner,
            "study.analyse": self.desk.show_analysis,
            "session.sign_out": self._show_sign_in,
            "help.keys": self._show_keys,
            "help.about": self._show_about,
            "session.leave": self._leave,
        }
        actions |= {f"stage.{n}": partial(view.go_to_stage, n - 1) for n in range(1, 10)}
        actions |= {key: partial(view.arrow, *rc) for key, rc in PAN_STEPS.items()}
        return actions

    def _bind(self) -> None:
        for command_id, action in self._actions().items():
            everywhere = command_id.startswith(("help.", "settings."))
            scope = (
                Qt.ShortcutContext.WindowShortcut
                if everywhere
                else Qt.ShortcutContext.WidgetWithChildrenShortcut
            )
            pages: dict[str, QWidget] = {"exams.open": self.sign_in, "session.sign_out": self.worklist}
            pages |= dict.fromkeys(("study.plan", "study.analyse", "pacs.open"), self.sign_in)
            page = self if everywhere else pages.get(command_id, self.reading)
            if command_id.startswith("measure."):
                page = self.reading.grid  # Tab walks the form's fields elsewhere
            # The side panel may be a window of its own: its keys are the reading screen's.
            owners = (page, self.reading.panel_window) if page is self.reading else (page,)
            for owner, key in product(owners, self._commands[command_id].keys):
                shortcut = QShortcut(QKeySequence(key), owner)
                shortcut.setContext(scope)
                shortcut.activated.connect(action)
                self._shortcuts.setdefault(command_id, []).append(shortcut)
        self.reading.set_keys({name: c.keys[0] for name, c in self._commands.items() if c.keys})
        self.sign_in.set_keys(self._commands)
        self.worklist.set_keys(self._commands)

    def _rebind(self) -> None:
        """Take the keys of the settings into force."""
        commands = command_table(usable(self.preferences.settings.keys)[0])
        if commands == self._commands:
            return
        for shortcut in (s for shortcuts in self._shortcuts.values() for s in shortcuts):
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._commands, self._shortcuts = commands, {}
        self._bind()

    def _connect(self) -> None:
        self.sign_in.asked.connect(self._sign_in)
        self.sign_in.open_exams_asked.connect(self._choose_exams)
        self.sign_in.settings_asked.connect(self._show_settings)
        self.sign_in.plan_asked.connect(self.desk.show_planner)
        self.sign_in.analyse_asked.connect(self.desk.show_analysis)
        self.sign_in.coordinator_asked.connect(self.area.begin)
        self.area.left.connect(self._left_area)
        self.area.pacs_asked.connect(self.pacs.show_for_import)
        self.pacs.imported.connect(self.area.show_imported)
        self.pacs.open_asked.connect(self._open_fetched)
        self.pacs.failed.connect(self.sign_in.show_problem)
        self.sign_in.pacs_asked.connect(self.pacs.show)
        self.sign_in.study_chosen.connect(self._choose_study)
        self.preferences.note_changed.connect(self._on_monitor_note)
        self.preferences.failed.connect(self._on_settings_failed)
        self.worklist.session_asked.connect(self._start_session)
        self.worklist.sign_asked.connect(self._ask_signature)
        self.signing.signed.connect(self._on_signed)
        self.worklist.sign_out_asked.connect(self._show_sign_in)
        self.exams.exam_asked.connect(self._open_exam)
        self.exams.thumbnails_asked.connect(self._ask_thumbnails)
        self.exams.report_asked.connect(self._show_report)
        self.exams.back_asked.connect(self._show_sign_in)
        view = self.reading
        view.image_tools.enhancement.runner = self.runner
        view.painted.connect(self._on_painted)
        view.stage_shown.connect(self._on_stage_shown)
        view.view_changed.connect(self._on_view_changed)
        view.image_tools.measured.connect(self._on_measured)
        view.mark_made.connect(lambda finding: self._controller and self._controller.add_mark(finding))
        view.mark_removed.connect(
            lambda finding_id: self._controller and self._controller.remove_mark(finding_id)
        )
        view.mark_moved.connect(lambda finding: self._controller and self._controller.move_mark(finding))
        view.draft_changed.connect(self._on_draft)
        view.submitted.connect(
            lambda form: self._controller and self._controller.submit(form, self.reading.seen())
        )
        view.ai_shown.connect(self._on_ai_shown)
        view.ai_hidden.connect(self._on_ai_hidden)
        view.ai_stop.connect(lambda: (asked := self._controller or self._browser) and asked.stop_ai())
        view.ai_retry.connect(lambda: (asked := self._controller or self._browser) and asked.retry_ai())
        view.finished.connect(self._on_finished)

    # ---- sign in and work list

    def _show_sign_in(self) -> None:
        self._reader = None
        self.signing.drop()
        self._idle.stop()
        self.sign_in.password.clear()
        self.sign_in.show_problem("")
        study = self._station.study
        self.sign_in.set_study(
            QCoreApplication.translate("study", study.title)
            if study
            else _tr("No study is open on this station."),
            self._station.hint,
        )
        self.pacs.forget()
        self.sign_in.pacs.setVisible(self.pacs.is_offered)
        self.stack.setCurrentWidget(self.sign_in)
        self.sign_in.first_coordinator.setVisible(self.area.lacks_coordinator)
        self.sign_in.offer_studies(self.area.studies(), study.study_id if study else "")
        self.sign_in.reader.setFocus(Qt.FocusReason.OtherFocusReason)
        if self.area.lacks_study:
            self.area.begin()

    def _choose_study(self, study_id: str) -> None:
        self.area.choose(study_id)
        self._show_sign_in()

    def _left_area(self, sentence: str) -> None:
        self._show_sign_in()
        self.sign_in.reader.clear()
        self.sign_in.show_problem(sentence)
        self.sign_in.reader.setFocus(Qt.FocusReason.OtherFocusReason)

    def _sign_in(self, reader_id: str, password: str) -> None:
        try:
            who = self._station.enter(reader_id, password)
        except UserFacingError as error:
            self.sign_in.show_problem(str(error))
            return
        if not isinstance(who, Reader):
            self.area.open()
            return
        self._reader = who
        self._show_worklist()

    def _show_worklist(self) -> None:
        if self._reader is None or self._station.study is None:
            self._show_sign_in()
            return
        try:
            sessions = self._station.sessions().worklist(self._reader.reader_id)
        except UserFacingError as error:
            self.sign_in.show_problem(str(error))
            return
        title = QCoreApplication.translate("study", self._station.study.title)
        self.worklist.set_sessions(title, self._reader.name, sessions, wants_signature=self.signing.wanted)
        self.stack.setCurrentWidget(self.worklist)
        self._idle.start()

    # ---- reading

    def _start_session(self, session_id: str) -> None:
        if self._reader is None:
            return
        self.stack.setCurrentWidget(self.reading)
        self._controller = self._station.reading(self.runner, self.reading, self._environment())
        self._controller.start(session_id, self._reader.reader_id)
        if self._controller.session_id is None:
            self._show_worklist()
        study = self._station.study
        self._idle_s = IDLE_S if study is None else study.conduct.idle_threshold_s
        self._idle.setInterval(round(self._idle_s * 1000))
        self._idle.start()
        self._idle_runs, self._last_input_ns = 0, self._station.clock.monotonic_ns()

    def _environment(self) -> dict[str, str]:
        screen = self.screen()
        size = screen.size()
        return {
            "app_version": self._version,
            "screen": screen.name(),
            "screen_px": f"{size.width()}x{size.height()}",
            "screen_depth": str(screen.depth()),
            "device_pixel_ratio": f"{screen.devicePixelRatio():g}",
            "platform": QGuiApplication.platformName(),
            **self.preferences.environment(),
        }

    # ---- settings and monitors

    def _today(self) -> str:
        return self._station.clock.utc_now()[:10]

    def _system_page(self) -> QWidget | None:
        from app.views.system_page import SystemPage

        examine = self._station.examine
        return SystemPage(examine, self.runner) if examine is not None else None

    def _models_page(self) -> ModelPicker | None:
        from app.views.model_picker import ModelPicker

        shelf, study = self._station.models, self._station.study
        if shelf is None:
            return None
        rules = "" if study is None else study_rules(study, shelf.station_model)
        return ModelPicker(shelf, self.runner, rules)

    def _show_settings(self) -> None:
        if self.settings is None:
            from app.views.settings_view import SettingsView

            self.settings = SettingsView(self._today, self._system_page(), models=self._models_page())
            self.settings.changed.connect(self._on_settings)
            self.settings.closed.connect(self._close_settings)
            self.stack.addWidget(self.settings)
        current = self.stack.currentWidget()
        if current is self.settings or current is None:
            return
        if self.is_case_painted() and self._controller is not None and not self.reading.is_paused:
            self._controller.toggle_pause()  # nobody is timed on a page without images
        self._before_settings = current
        self.settings.set_settings(self.preferences.settings, self.screen(), self._station.settings.problem)
        self.stack.setCurrentWidget(self.settings)
        self.settings.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _close_settings(self) -> None:
        self.stack.setCurrentWidget(self._before_settings)
        self._before_settings.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_settings(self, settings: Settings) -> None:
        self.preferences.keep(settings)
        self._rebind()

    def _on_settings_failed(self, sentence: str) -> None:
        if self.settings is not None:
            self.settings.show_problem(sentence)

    def _on_monitor_note(self, note: str) -> None:
        for page in (self.sign_in, self.worklist, self.reading):
            page.set_monitor_note(note)
        if self._controller is not None:
            self._controller.display_changed(self._environment())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            self.preferences.restore_place()
            self.preferences.watch_screens()
            self.preferences.apply()
            if self.preferences.settings.panel_apart:
                self.reading.toggle_panel_apart(self.preferences.settings.panel_place)
                self.reading.panel_window.setVisible(False)
            self.stack.currentChanged.connect(lambda _index: self._show_panel_window())

    def _show_panel_window(self) -> None:
        """The panel's own window is there only while cases are read."""
        panel = self.reading.panel_window
        panel.setVisible(panel.is_apart and self.stack.currentWidget() is self.reading)

    def _on_painted(self) -> None:
        if self._controller is not None:
            self._controller.painted(self._station.clock.monotonic_ns())
        elif self._browser is not None:
            self._browser.painted()

    def _on_stage_shown(self, title: str) -> None:
        if self._controller is not None:
            self._controller.stage_shown(title)

    def _on_view_changed(self, what: dict[str, object]) -> None:
        if self._controller is not None:
            self._controller.view_changed(what)

    def _on_measured(self, old: Measurement | None, new: Measurement | None) -> None:
        if self._controller is not None:
            self._controller.measurement_changed(old, new)

    def _on_draft(self, draft: Assessment) -> None:
        if self._controller is not None:
            self._controller.save_draft(draft)

    def _on_ai_shown(self, layer: str, shown: object) -> None:
        if (
            self._controller is not None
            and isinstance(shown, dict)
            and not self._controller.ai_shown(layer, shown)
        ):
            self.reading.ai_layers.refuse(layer)

    def _on_ai_hidden(self, layer: str) -> None:
        if self._controller is not None and not self._controller.ai_hidden(layer):
            self.reading.ai_layers.keep(layer)

    def _pause(self) -> None:
        if self._controller is not None and not self.reading.take_break():
            self._controller.toggle_pause()

    def _look_back(self) -> None:
        if self._controller is not None:
            self._controller.look_back()

    def _leave(self) -> None:
        if self._browser is not None and self._controller is None:
            case = self._browser.case
            self._browser.leave()
            self.stack.setCurrentWidget(self.exams)
            self.exams.select(case.exam.exam_id if case is not None else "")
            return
        self._end_session()
        self._show_worklist()

    def _end_session(self) -> None:
        self._tell_idle()
        self._idle.stop()
        if self._controller is not None:
            self._controller.leave(self.reading.seen())
            self._controller = None

    def _on_finished(self, sentence: str) -> None:
        self._end_session()
        self._show_worklist()
        self.statusBar().showMessage(sentence, 10_000)
        self._ask_signature("")

    def _ask_signature(self, session_id: str) -> None:
        """Ask for the signature under a finished session, "" = the first without one, where the protocol wants it."""
        if self._reader is not None:
            self.signing.ask(self._reader, session_id)

    def _on_signed(self, sentence: str) -> None:
        self._show_worklist()
        self.statusBar().showMessage(sentence, 10_000)

    # ---- exams without a study

    def _choose_exams(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, _tr("Folder with exams"))
        if folder:
            self.open_exams(Path(folder))

    def _open_fetched(self, folder: Path, day: object) -> None:
        """Show the exam that was fetched from the PACS at once; the list behind it has her earlier ones."""

        def listed(exams: tuple[ExamSummary, ...]) -> None:
            chosen = [exam for exam in exams if exam.study_date == day] or list(exams)
            if chosen:
                self._open_exam(chosen[0].exam_id)

        self.open_exams(folder, listed)

    def open_exams(
        self, path: Path, then: Callable[[tuple[ExamSummary, ...]], None] = lambda _exams: None
    ) -> None:
        """List the exams of a folder, zip or manifest, then do something with the list."""
        self._end_session()
        try:
            source = self._station.exams_to_browse(path)
        except UserFacingError as error:
            self.sign_in.show_problem(str(error))
            return
        self._opened = path
        self._browser = self._station.browsing(source, self.runner, self.reading)
        self._writer = ObjectWriter(
            root=path, runner=self.runner, clock=self._station.clock, version=self._version,
            say=self._confirm, refuse=self._refuse,
        )  # fmt: skip
        watch_first_looks(self.reading, self.runner, self._browser)
        self.exams.set_exams(())
        self.exams.show_state(_tr("Reading the headers of {0} …").format(path.name))
        self.stack.setCurrentWidget(self.exams)

        def listed(exams: tuple[ExamSummary, ...]) -> None:
            self._report = source.report
            beside = sum(entry.listed for entry in source.report.entries)
            refused = len(source.report.refused) - beside
            self.exams.set_exams(exams)
            said = _tr("{0} exams.  {1} files listed and not hung (not for reading), {2} refused.")
            words = said.format(len(exams), beside, refused)
            self.exams.show_state(
                words if exams else f"{words}  {_tr('The import report (Ctrl+R) says why.')}"
            )
            then(exams)

        self._browser.list_exams(listed, self.exams.show_state)

    def _open_exam(self, exam_id: str) -> None:
        if self._browser is not None:
            self.stack.setCurrentWidget(self.reading)
            self._browser.open(exam_id, self.exams.order())

    def _ask_thumbnails(self, exam_id: str) -> None:
        if self._browser is not None and exam_id:
            self._browser.thumbnails(exam_id, self.exams.show_thumbnails)

    def _step_exam(self, by: int) -> None:
        if self._browser is not None and self._controller is None:
            self._browser.step(by)

    def _choose_hanging(self) -> None:
        if self._controller is not None:
            self.reading.show_message(
                _tr("Every reader of a study sees the same hanging; it cannot be changed here.")
            )
        elif self._browser is not None and self._browser.case is not None:
            self._open_dialog(HangingEditor(self._browser, self))

    def _save_object(self, what: str) -> None:
        case = self._browser.case if self._browser is not None and self._controller is None else None
        if case is None or self._writer is None:
            self.reading.show_message(
                _tr("Nothing is saved as DICOM from a study; open the exam from the exam list.")
            )
            return
        folder = QFileDialog.getExistingDirectory(self, _tr("Folder to save to"))
        if folder:
            self.save_object(what, Path(folder))

    def save_object(self, what: str, folder: Path) -> None:
        """Write the AI's result ("ai"), the images as shown ("display") or the key images ("keys") as DICOM."""
        case = self._browser.case if self._browser is not None else None
        if case is None or self._writer is None:
            return
        view = self.reading
        if what == "ai":
            shown = view.ai_layers.result  # of the model in force, where several have answered
            ai = view.ai if shown is None else AiView(result=shown)
            self._writer.save_ai(case.exam, ai, folder, threshold=view.threshold)
        elif what == "display":
            self._writer.save_displays(case.exam, view.objects.displays(), folder)
        else:
            self._writer.save_keys(case.exam, view.objects.key_images(), folder)

    def _send_to_pacs(self) -> None:
        case = self._browser.case if self._browser is not None and self._controller is None else None
        if case is None or self._opened is None:
            self.reading.show_message(_tr("Nothing is sent from a study; open the exam from the exam list."))
            return
        self.pacs.ask_send(self.reading, case.exam, self._opened, self._version, self._open_dialog)

    def _show_why(self) -> None:
        dialog = self.reading.why_here()
        if dialog is not None:
            self._open_dialog(dialog)

    def _show_report(self) -> None:
        read, listed, refused = _tr("read"), _tr("listed"), _tr("REFUSED")
        lines = [
            f"{read if e.accepted else listed if e.listed else refused:8} {e.path}: {e.sentence}"
            for e in self._report.entries
        ]
        self._open_dialog(
            dialogs.text_report(_tr("Import report"), "\n".join(lines) or _tr("No files."), self)
        )

    # ---- help, time, end

    def _open_dialog(self, dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        self._dialog = dialog

    def _show_keys(self) -> None:
        case = self._controller.case if self._controller is not None else None
        hide_ai = case is not None and not case.policy.shown
        self._open_dialog(
            dialogs.key_sheet([c for c in self._commands.values() if not (hide_ai and c.ai)], self)
        )

    def _show_about(self) -> None:
        self._open_dialog(dialogs.about(self._version, self))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kinds = (QEvent.Type.KeyPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.Wheel)
        if event.type() in kinds and self._idle.isActive():
            self._tell_idle()
            self._idle.start()
            self._last_input_ns = self._station.clock.monotonic_ns()
        return super().eventFilter(watched, event)

    def _tell_idle(self) -> None:
        """Note how long no input came, once it came again or the sitting ends: the whole spell, to the moment."""
        runs, self._idle_runs = self._idle_runs, 0
        if runs and self._controller is not None:
            self._controller.idle((self._station.clock.monotonic_ns() - self._last_input_ns) / 1e9)

    def _on_idle(self) -> None:
        self._idle_runs += 1
        study = self._station.study
        limit = None if study is None else study.conduct.session_timeout_min
        if self._reader is not None and limit is not None and self._idle_runs * self._idle_s >= limit * 60:
            self._end_session()  # the case stays open and is resumed after the next sign-in (RS-A3)
            self._show_sign_in()
            self.sign_in.show_problem(_tr("Signed out after {0:g} minutes without input.").format(limit))

    def _on_application_state(self, state: Qt.ApplicationState) -> None:
        """Another program is in front, or the screen is locked: the system says so of the whole program."""
        self._is_active = state == Qt.ApplicationState.ApplicationActive
        self._tell_focus()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.WindowStateChange:
            self._tell_focus()  # minimised: nothing of the case is seen, whatever window has the keyboard
        super().changeEvent(event)

    def _tell_focus(self) -> None:
        if self._controller is not None:
            self._controller.focus_changed(has_focus=self._is_active and not self.isMinimized())

    def closeEvent(self, event: QCloseEvent) -> None:
        self._end_session()
        panel = self.reading.panel_window
        place = panel.place_text() if panel.is_apart else ""
        self.preferences.keep_places(panel_apart=panel.is_apart, panel_place=place)
        panel.hide()
        self.area.close()
        self.pacs.close()
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self)
        self.runner.close()
        self._station.close()
        super().closeEvent(event)
