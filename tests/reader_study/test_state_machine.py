"""Any order of commands, crashes and refusing disks included: nothing confirmed is lost, nothing forbidden happens."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reader_study.clock import ManualClock, from_utc_text
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.conduct import Design
from reader_study.domain.events import GENESIS, EventKind, canonical, row_hash
from reader_study.domain.reading import AI_EVENTS, State, fold
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.errors import StoreError, StudyError
from reader_study.ports import MemoryEventStore
from reader_study.protocol_file import drawn
from reader_study.sessions import Sessions
from resources.vocabulary import Density, FindingType, Laterality

WASHOUT_DAYS = 2.0
READERS = ("r1", "r2")


def small_study(design: Design) -> Study:
    arms = (
        Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False)),
        Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True, heatmap=False)),
    )
    study = Study(
        study_id="ST",
        title="Any order",
        protocol_version="1",
        seed=11,
        arms=arms,
        readers=tuple(Reader(reader_id=reader_id, name=reader_id) for reader_id in READERS),
        cases=tuple(
            Case(case_id=f"c{i}", exam_id=f"e{i}", exam_digest=f"{i:064x}", practice=i == 3) for i in range(4)
        ),
        scale=Scale(require=("suspicion",)),
        plans=(),
        washout_days=WASHOUT_DAYS,
        design=design,
        blocks=2 if design is Design.SPLIT_PLOT else 1,
    )
    return replace(study, plans=drawn(study))


class RefusingStore(MemoryEventStore):
    """A store whose disk refuses the next write when told."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False

    def append(self, events, expected_seq) -> None:
        if self.refuses:
            self.refuses = False
            raise StoreError("The disk is full; free it.")
        super().append(events, expected_seq)


class AnyOrder(RuleBasedStateMachine):
    """Two readers at one station; the model knows only what was confirmed to them."""

    @initialize(design=st.sampled_from([*Design]))
    def begin(self, design: Design) -> None:
        self.study = small_study(design)
        self.store, self.clock = RefusingStore(), ManualClock()
        self.sessions = Sessions(study=self.study, store=self.store, clock=self.clock)
        self.ids = [plan.session_id for plan in self.study.plans]
        self.locked: dict[str, list[tuple[str, Assessment]]] = {session_id: [] for session_id in self.ids}
        self.marks: dict[str, set[str]] = {session_id: set() for session_id in self.ids}
        self.written: dict[str, tuple[str, ...]] = dict.fromkeys(self.ids, ())
        self.runs = 0
        self.made = 0
        self.focus = self.ids[0]

    def attempt(self, step) -> object | None:
        """Do a step; a refusal must be a sentence and must leave the log as it was."""
        before = self.store.heads()
        try:
            return step() or True
        except StudyError as error:
            said = str(error)
        assert said.strip()
        assert self.store.heads() == before, "a refused step wrote something"
        return None

    def session(self, pick: int) -> str:
        """Mostly the session in hand, so that runs get deep; sometimes any."""
        return self.focus if pick < 8 else self.ids[(pick + self.made) % len(self.ids)]

    @rule(pick=st.integers(0, 9))
    def turn_to_a_session_that_can_be_read(self, pick: int) -> None:
        """Sit down at one that is open to its reader, as people do, and open its case."""
        rows = [row for reader_id in READERS for row in self.sessions.worklist(reader_id) if row.available]
        if rows:
            self.focus = rows[pick % len(rows)].session_id
            self.open(0)
            self.open_case(0)
            self.paint(0)

    @rule(pick=st.integers(0, 9))
    def open(self, pick: int) -> None:
        session_id = self.session(pick)
        self.attempt(lambda: self.sessions.open(session_id, session_id.split(".")[1], {}))

    @rule(pick=st.integers(0, 9))
    def open_as_another(self, pick: int) -> None:
        session_id = self.session(pick)
        other = READERS[session_id.split(".")[1] == "r1"]
        assert self.attempt(lambda: self.sessions.open(session_id, other, {})) is None

    @rule(pick=st.integers(0, 9))
    def open_case(self, pick: int) -> None:
        self.attempt(lambda: self.sessions.open_case(self.session(pick)))

    @rule(pick=st.integers(0, 9))
    def paint(self, pick: int) -> None:
        session_id = self.session(pick)
        self.attempt(lambda: self.sessions.frame_painted(session_id, self.clock.monotonic_ns()))

    @rule(pick=st.integers(0, 9))
    def read_one_case(self, pick: int) -> None:
        """The usual way, so that runs get far."""
        self.open(pick)
        self.open_case(pick)
        self.paint(pick)
        self.submit(pick, 30)

    @rule(pick=st.integers(0, 9), row=st.integers(0, 99))
    def mark(self, pick: int, row: int) -> None:
        session_id = self.session(pick)
        self.made += 1
        finding = Finding(
            finding_id=f"f{self.made}", image_key="R-CC", source_id="1", row=row, col=1.0, finding=FindingType.MASS, suspicion=50
        )  # fmt: skip
        if self.attempt(lambda: self.sessions.add_mark(session_id, finding)) is not None:
            self.marks[session_id].add(finding.finding_id)

    @rule(pick=st.integers(0, 9), layer=st.sampled_from(["boxes", "heatmap", "score"]))
    def reveal(self, pick: int, layer: str) -> None:
        session_id = self.session(pick)
        self.attempt(lambda: self.sessions.ai_revealed(session_id, layer, {"n": 1}))

    @rule(pick=st.integers(0, 9), suspicion=st.integers(0, 100))
    def submit(self, pick: int, suspicion: int) -> None:
        session_id = self.session(pick)
        form = Assessment(
            breasts=(BreastAssessment(laterality=Laterality.RIGHT, suspicion=suspicion),),
            density=Density.FATTY,
        )
        case_id = self.sessions.position(session_id).case_id
        after = self.attempt(lambda: self.sessions.submit(session_id, form))
        if after is not None and after.case_id != case_id:
            self.locked[session_id].append((case_id, form))
            self.marks[session_id] = set()

    @rule(pick=st.integers(0, 9))
    def submit_an_empty_form(self, pick: int) -> None:
        assert self.attempt(lambda: self.sessions.submit(self.session(pick), Assessment())) is None

    @rule(pick=st.integers(0, 9), pause=st.booleans())
    def pause_or_resume(self, pick: int, pause: bool) -> None:
        session_id = self.session(pick)
        self.attempt(lambda: (self.sessions.pause if pause else self.sessions.resume)(session_id))

    @rule(pick=st.integers(0, 9))
    def close(self, pick: int) -> None:
        self.attempt(lambda: self.sessions.close(self.session(pick)))

    @rule(pick=st.integers(0, 9))
    def override(self, pick: int) -> None:
        session_id = self.session(pick)
        self.attempt(lambda: self.sessions.grant_override(session_id, reason="needed", granted_by="co"))

    @rule(days=st.floats(0, 3))
    def time_passes(self, days: float) -> None:
        self.clock.advance(days * 86_400)

    @rule()
    def crash(self) -> None:
        self.sessions._stream.stop()
        self.runs += 1
        self.clock.restart(f"boot-{self.runs + 1}")
        self.sessions = Sessions(study=self.study, store=self.store, clock=self.clock)

    @rule()
    def the_disk_refuses_the_next_write(self) -> None:
        self.store.refuses = True

    @invariant()
    def nothing_confirmed_is_lost(self) -> None:
        for plan in self.study.plans if hasattr(self, "locked") else ():
            events = self.store.read(plan.session_id)
            hashes = tuple(event.hash for event in events)
            assert hashes[: len(self.written[plan.session_id])] == self.written[plan.session_id]
            self.written[plan.session_id] = hashes
            record = fold(self.study, plan, events)
            done = [(r.case_id, r.final) for r in record.readings if r.state is State.LOCKED]
            assert done == self.locked[plan.session_id]
            current = record.current
            if current is not None:
                assert {mark.finding_id for mark in current.findings} == self.marks[plan.session_id]

    @invariant()
    def nothing_is_read_outside_the_allocation(self) -> None:
        for session_id in getattr(self, "ids", ()):
            plan = self.study.plan(session_id)
            planned = [entry.case_id for entry in plan.entries]
            assert [case_id for case_id, _ in self.locked[session_id]] == planned[
                : len(self.locked[session_id])
            ]
            opened = [e for e in self.store.read(session_id) if e.kind is EventKind.CASE_OPENED]
            assert {(e.body["case_id"], e.body["arm_id"]) for e in opened} <= {
                (entry.case_id, entry.arm_id) for entry in plan.entries
            }

    @invariant()
    def no_ai_where_the_arm_shows_none_or_not_yet(self) -> None:
        for session_id in getattr(self, "ids", ()):
            entries = {entry.case_id: entry for entry in self.study.plan(session_id).entries}
            answered: set[object] = set()
            for event in self.store.read(session_id):
                if event.kind is EventKind.PROVISIONAL_SUBMITTED:
                    answered.add(event.body["case_id"])
                if event.kind in AI_EVENTS:
                    entry = entries[str(event.body["case_id"])]
                    assert self.study.arm(entry.arm_id).ai.shown
                    assert entry.first_arm_id is None or event.body["case_id"] in answered
                    assert event.body.get("layer") != "heatmap"

    @invariant()
    def no_case_is_read_again_before_its_washout(self) -> None:
        for session_id in getattr(self, "ids", ()):
            plan = self.study.plan(session_id)
            events = self.store.read(session_id)
            kinds = [event.kind for event in events]
            if EventKind.SESSION_OPENED not in kinds or EventKind.OVERRIDE_GRANTED in kinds:
                continue
            began = from_utc_text(events[0].t_utc)
            mine = {entry.case_id for entry in plan.entries}
            for other in self.study.plans_of(plan.reader_id):
                if other.period >= plan.period:
                    continue
                locks = [e for e in self.store.read(other.session_id) if e.kind is EventKind.READING_LOCKED]
                assert len(locks) == len(other.entries), "the period before is finished first"
                for lock in locks:
                    if lock.body["case_id"] in mine:
                        gap = began - from_utc_text(lock.t_utc)
                        assert gap.total_seconds() >= WASHOUT_DAYS * 86_400 - 0.01

    @invariant()
    def every_chain_is_valid(self) -> None:
        for session_id in getattr(self, "ids", ()):
            last = GENESIS
            for number, event in enumerate(self.store.read(session_id), start=1):
                assert (event.seq, event.prev_hash) == (number, last)
                last = row_hash(
                    seq=event.seq, session_id=event.session_id, kind=event.kind.value, version=event.version,
                    boot_id=event.boot_id, t_mono_ns=event.t_mono_ns, t_utc=event.t_utc,
                    body_text=canonical(event.body), prev_hash=event.prev_hash,
                )  # fmt: skip
                assert event.hash == last

    def teardown(self) -> None:
        if hasattr(self, "sessions"):
            self.sessions._stream.stop()


AnyOrder.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyOrderOfCommandsAndCrashes = AnyOrder.TestCase
