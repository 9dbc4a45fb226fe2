"""Roles, the desk and its audit: who may do what, when; versions, locks, signatures; what a reader cannot reach."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from reader_study.accounts import SignedIn, account_of, hash_password, sign_in_account
from reader_study.desk import Desk, Done
from reader_study.domain.conduct import Conduct, Training
from reader_study.domain.events import EventKind
from reader_study.domain.study import Reader
from reader_study.errors import IllegalTransition, SignInRefused, StoreError, StudyError
from reader_study.permissions import RULES, Account, Action, NotPermitted, Role, may
from reader_study.protocol_file import drawn
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.verify import verify_log

SID = "ST.r1.p1"
COORDINATOR = Account(
    account_id="co", name="Carla Ordinata", role=Role.COORDINATOR, password_hash=hash_password("pass-word")
)
STATISTICIAN = replace(COORDINATOR, account_id="st", role=Role.STATISTICIAN)
ADMINISTRATOR = replace(COORDINATOR, account_id="ad", role=Role.ADMINISTRATOR)


@pytest.fixture
def opened(tmp_path):
    database = open_database(tmp_path / "study.sqlite")
    yield database
    database.close()


@pytest.fixture
def desk_of(opened, clock, tmp_path):
    def make(account=COORDINATOR, timeout_min=None):
        signed_in = SignedIn(account, clock, timeout_min)
        anchor = tmp_path / "anchor.jsonl"
        return Desk(database=opened, clock=clock, signed_in=signed_in, study_id="ST", anchor=anchor)

    return make


@pytest.fixture
def frozen(desk_of, make_study):
    desk = desk_of()
    desk.draft(make_study(n_cases=2, washout_days=28))
    desk.freeze(why="ethics vote 12")
    return desk


def finish(sessions, session_id, clock, show, form):
    position = sessions.open(session_id, session_id.split(".")[1], {})
    while position.case_id is not None:
        show(sessions, session_id, clock)
        position = sessions.submit(session_id, form)


def test_rs_a3_every_action_is_somebodys_and_readers_have_one():
    assert set(RULES) == set(Action)
    assert all(RULES.values())
    assert [action for action in Action if Role.READER in RULES[action]] == [Action.READ]


@pytest.mark.parametrize("account", [COORDINATOR, STATISTICIAN], ids=["coordinator", "statistician"])
def test_rs_r2_truth_and_results_are_closed_until_lock_unless_the_protocol_opens_them(make_study, account):
    study = make_study()
    early = replace(study, conduct=Conduct(results_before_lock=True))
    for action in (Action.SEE_TRUTH, Action.SEE_RESULTS, Action.EXPORT, Action.SEE_ALLOCATION):
        assert "before the study is locked" in (may(account, action, study, locked=False) or "")
        assert may(account, action, study, locked=True) is None
        assert may(account, action, early, locked=False) is None


def test_rs_r2_a_reader_reaches_nothing_but_her_own_list(
    sessions, study, clock, show, desk_of, normal_form, mark
):
    sessions.open("ST.r2.p1", "r2", {})
    show(sessions, "ST.r2.p1", clock)
    sessions.admit(account_of(study.readers[0]))
    for reach in (
        lambda: sessions.worklist("r2"),
        lambda: sessions.position("ST.r2.p1"),
        lambda: sessions.open("ST.r2.p1", "r1", {}),
        lambda: sessions.open("ST.r2.p1", "r2", {}),
        lambda: sessions.open_case("ST.r2.p1"),
        lambda: sessions.add_mark("ST.r2.p1", mark()),
        lambda: sessions.submit("ST.r2.p1", normal_form),
        lambda: sessions.grant_override("ST.r2.p2", reason="now", granted_by="r1"),
        lambda: sessions.instruction("ST.r2.p1"),
        lambda: sessions.sign("ST.r2.p1", signed_by="r1", name="A", meaning="B"),
    ):
        with pytest.raises(NotPermitted) as refused:
            reach()
        assert "r2" not in str(refused.value), "not even the other reader's name"
    assert {row.session_id for row in sessions.worklist("r1")} == {"ST.r1.p1", "ST.r1.p2"}
    reader = desk_of(account_of(study.readers[0]))
    for reach in (reader.monitor, reader.audit, reader.balance, lambda: reader.events(Action.SEE_RESULTS)):
        with pytest.raises(NotPermitted, match="a reader may not"):
            reach()


def test_rs_r2_a_coordinator_does_not_read(sessions):
    sessions.admit(COORDINATOR)
    with pytest.raises(NotPermitted, match="a coordinator may not read cases"):
        sessions.open(SID, "r1", {})


def test_rs_a3_an_administrator_has_accounts_and_backups_and_no_study(frozen, desk_of):
    desk = desk_of(ADMINISTRATOR)
    desk.put_account(replace(STATISTICIAN, password_hash=hash_password("long enough")))
    assert desk.audit()[-1].action is EventKind.ACCOUNT_CHANGED
    for reach in (desk.monitor, desk.freeze, lambda: desk.events(Action.EXPORT)):
        with pytest.raises(NotPermitted, match="administrator may not"):
            reach()


def test_rs_a3_accounts_keep_role_and_password_and_never_show_the_hash(frozen, desk_of, opened):
    desk_of(ADMINISTRATOR).put_account(STATISTICIAN)
    kept = {account.account_id: account for account in opened.accounts("ST")}
    assert kept["st"].role is Role.STATISTICIAN
    assert sign_in_account(opened.accounts("ST"), "st", "pass-word").account_id == "st"
    for wrong in (("st", "no"), ("nobody", "pass-word")):
        with pytest.raises(SignInRefused, match="the reader or the password is not right"):
            sign_in_account(opened.accounts("ST"), *wrong)
    assert "argon2" not in repr(kept["st"])
    assert not any("argon2" in str(entry) for entry in desk_of(ADMINISTRATOR).audit())


def test_rs_a3_a_sign_in_runs_out_without_input_and_stays_so(frozen, desk_of, clock):
    desk = desk_of(timeout_min=30)
    clock.advance(29 * 60)
    desk.monitor()
    clock.advance(29 * 60)
    desk.monitor()
    clock.advance(30 * 60)
    with pytest.raises(SignInRefused, match="signed out after 30 minutes"):
        desk.monitor()
    with pytest.raises(SignInRefused, match="signed out"):
        desk.monitor()


def test_rs_d1_nothing_is_read_before_the_protocol_is_frozen(desk_of, make_study, opened, clock):
    desk, study = desk_of(), make_study(n_cases=2)
    desk.draft(study)
    sessions = Sessions(study=study, store=opened.events, clock=clock)
    assert "not frozen" in sessions.worklist("r1")[0].why_not
    with pytest.raises(StudyError, match="not frozen"):
        sessions.open(SID, "r1", {})
    desk.freeze()
    sessions.open(SID, "r1", {})
    sessions.shutdown()


def test_rs_d1_a_protocol_without_images_is_not_frozen(desk_of, make_study):
    study = make_study(n_cases=2)
    cases = (replace(study.cases[0], exam_digest=""), study.cases[1])
    desk = desk_of()
    desk.draft(replace(study, cases=cases))
    with pytest.raises(StudyError, match=r"1 without images \(c001\)"):
        desk.freeze()

    def work(kept):
        return replace(kept, cases=study.cases), Done(subject="folder", new={"cases": 1, "refused": 0})

    desk.cases_imported(work)
    desk.freeze()
    assert [e.action for e in desk.audit()][-2:] == [EventKind.CASES_IMPORTED, EventKind.PROTOCOL_FROZEN]


def test_rs_d1_a_frozen_protocol_changes_by_amendment_with_a_reason_and_all_versions_stay(
    frozen, opened, make_study, clock, show, normal_form
):
    study = frozen.study()
    with pytest.raises(StoreError, match="frozen"):
        frozen.draft(replace(study, washout_days=14.0))
    longer = replace(study, washout_days=42.0, protocol_version="2")
    with pytest.raises(StoreError, match="reason"):
        frozen.amend(longer, why=" ")
    with pytest.raises(StudyError, match="protocol_version"):
        frozen.amend(replace(longer, protocol_version="1"), why="x")
    frozen.amend(longer, why="ethics asked for six weeks")
    versions = opened.protocol_versions("ST")
    assert [(v.number, v.study.washout_days, v.reason) for v in versions] == [
        (1, 28.0, "ethics vote 12"),
        (2, 42.0, "ethics asked for six weeks"),
    ]
    assert opened.study("ST").washout_days == 42.0
    connection = sqlite3.connect(opened._engine.url.database)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE protocols SET body = '{}'")
    connection.close()


def test_rs_d1_what_has_been_read_does_not_change_by_amendment(frozen, opened, clock, show, normal_form):
    study = frozen.study()
    sessions = Sessions(study=study, store=opened.events, clock=clock)
    sessions.open(SID, "r1", {})
    sessions.shutdown()
    new = replace(study, protocol_version="2")
    turned = tuple(replace(p, entries=p.entries[::-1]) if p.session_id == SID else p for p in new.plans)
    arm = replace(new.arms[0], title="Another")
    for change, words in (
        (replace(new, plans=turned), "has begun"),
        (replace(new, cases=(replace(new.cases[0], exam_digest="0"), *new.cases[1:])), "being read"),
        (replace(new, arms=(arm, *new.arms[1:])), "being read"),
        (replace(new, scale=replace(new.scale, birads=("1", "5"))), "scale"),
    ):
        with pytest.raises(StudyError, match=words):
            frozen.amend(change, why="try")
    grown = frozen.enrol(Reader(reader_id="r9", name="Nine"), why="second site")
    assert grown.protocol_version == "1.1"
    assert grown.plans[: len(study.plans)] == study.plans
    later = Sessions(study=opened.study("ST"), store=opened.events, clock=clock)
    assert later.worklist("r9")[0].available
    assert later.open(SID, "r1", {}).case_id is not None, "the begun session goes on under the new version"
    later.shutdown()


def test_rs_a1_the_audit_says_who_what_old_new_why_when_and_a_change_in_it_is_found(
    frozen, opened, tmp_path, clock
):
    frozen.amend(replace(frozen.study(), washout_days=42.0, protocol_version="2"), why="six weeks")
    entries = frozen.audit()
    assert [entry.action.value for entry in entries] == [
        "ProtocolDrafted", "AllocationMade", "ProtocolFrozen", "ProtocolAmended",
    ]  # fmt: skip
    last = entries[-1]
    assert (last.who, last.role, last.why, last.when) == ("co", "coordinator", "six weeks", clock.utc_now())
    assert last.old["protocol_hash"] != last.new["protocol_hash"]
    anchor = tmp_path / "anchor.jsonl"
    path = opened._engine.url.database
    assert verify_log(path, anchor).ok
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER events_refuse_update")
    connection.execute("UPDATE events SET body = replace(body, 'six weeks', 'two weeks')")
    connection.commit()
    connection.close()
    report = verify_log(path, anchor)
    assert any("audit.ST" in problem and "was changed" in problem for problem in report.problems)


def test_rs_d4_an_override_needs_a_reason_and_is_in_both_chains(frozen, opened, clock, show, normal_form):
    sessions = Sessions(study=frozen.study(), store=opened.events, clock=clock)
    finish(sessions, SID, clock, show, normal_form)
    sessions.close(SID)
    with pytest.raises(StudyError, match="washout"):
        sessions.open("ST.r1.p2", "r1", {})
    with pytest.raises(StudyError, match="reason"):
        frozen.grant_override("ST.r1.p2", why="")
    frozen.grant_override("ST.r1.p2", why="reader leaves")
    last = frozen.audit()[-1]
    assert (last.action, last.subject, last.why) == (EventKind.OVERRIDE_RECORDED, "ST.r1.p2", "reader leaves")
    assert "washout" in last.old["why_not"]
    assert opened.events.read("ST.r1.p2")[0].body["granted_by"] == "co"
    fresh = Sessions(study=frozen.study(), store=opened.events, clock=clock)
    assert fresh.open("ST.r1.p2", "r1", {}).case_id is not None
    fresh.shutdown()


def test_rs_a4_sessions_and_study_are_signed_and_a_locked_study_takes_no_reading(
    frozen, opened, clock, show, normal_form
):
    sessions = Sessions(study=frozen.study(), store=opened.events, clock=clock)
    sessions.open(SID, "r1", {})
    with pytest.raises(IllegalTransition, match="not locked"):
        sessions.sign(SID, signed_by="r1", name="Reader One", meaning="mine")
    finish(sessions, SID, clock, show, normal_form)
    with pytest.raises(StudyError, match="name and a meaning"):
        sessions.sign(SID, signed_by="r1", name="", meaning="mine")
    sessions.sign(SID, signed_by="r1", name="Reader One", meaning="These are my readings.")
    with pytest.raises(IllegalTransition, match="signed already"):
        sessions.sign(SID, signed_by="r1", name="Reader One", meaning="again")
    sessions.shutdown()
    assert next(row for row in frozen.monitor() if row.session_id == SID).signed
    words = {"name": "Carla Ordinata", "meaning": "Reading is complete."}
    with pytest.raises(SignInRefused):
        frozen.lock(password="wrong", **words)
    with pytest.raises(StudyError, match="3 unfinished sessions, a reason"):
        frozen.lock(password="pass-word", **words)
    with pytest.raises(NotPermitted, match="before the study is locked"):
        frozen.events(Action.SEE_RESULTS)
    frozen.lock(password="pass-word", why="stopped early", **words)
    signature = frozen.audit()[-1]
    assert signature.new["name"] == "Carla Ordinata"
    assert signature.new["heads"][SID] == opened.events.heads()[SID].hash
    assert frozen.events(Action.SEE_RESULTS).read(SID)
    later = Sessions(study=frozen.study(), store=opened.events, clock=clock)
    with pytest.raises(StudyError, match="the study is locked"):
        later.open("ST.r2.p1", "r2", {})
    with pytest.raises(StudyError, match="locked already"):
        frozen.lock(password="pass-word", why="again", **words)


def test_rs_r5_the_balance_shows_counts_and_nobodys_order(desk_of, make_study):
    base = make_study(n_cases=8, n_readers=4)
    cases = tuple(replace(case, stratum="ab"[i % 2]) for i, case in enumerate(base.cases))
    study = replace(base, cases=cases, plans=())
    desk = desk_of()
    desk.draft(replace(study, plans=drawn(study)))
    rows = desk.balance()
    assert {(row.least, row.most) for row in rows} == {(2, 2)}
    assert len(rows) == 2 * 2 * 2
    with pytest.raises(NotPermitted, match="before the study is locked"):
        desk.events(Action.SEE_ALLOCATION)


def test_what_a_permitted_work_hands_back_is_audited_first(frozen):
    def work(_study):
        return 7, Done(subject="truth.csv", new={"cases": 2, "sha256": "ab"})

    assert frozen.permitted(Action.IMPORT_TRUTH, EventKind.TRUTH_IMPORTED, work) == 7
    assert frozen.audit()[-1].subject == "truth.csv"
    with pytest.raises(NotPermitted):
        frozen.permitted(Action.EXPORT, EventKind.EXPORT_MADE, work)
    assert frozen.audit()[-1].action is EventKind.TRUTH_IMPORTED


def test_rs_t2_the_instruction_is_acknowledged_before_the_first_case(
    make_study, store, clock, normal_form, show
):
    study = replace(
        make_study(n_cases=2, practice=1), training=Training(instruction="0 is benign, 100 malignant.")
    )
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open("ST.r1.p0", "r1", {})
    assert sessions.instruction("ST.r1.p0") == "0 is benign, 100 malignant."
    with pytest.raises(StudyError, match="acknowledged first"):
        sessions.open_case("ST.r1.p0")
    sessions.acknowledge_instruction("ST.r1.p0")
    sessions.acknowledge_instruction("ST.r1.p0")
    assert sessions.instruction("ST.r1.p0") is None
    show(sessions, "ST.r1.p0", clock)
    kinds = [event.kind for event in store.read("ST.r1.p0")]
    assert kinds.count(EventKind.INSTRUCTION_ACKNOWLEDGED) == 1


def test_rs_t3_the_practice_gate_holds_and_can_be_left_open(make_study, store, clock):
    study = make_study(n_cases=2, practice=1)
    why = Sessions(study=study, store=store, clock=clock).worklist("r1")[1].why_not
    assert "period 0 comes first" in why
    free = replace(study, training=Training(gate=False))
    assert Sessions(study=free, store=store, clock=clock).worklist("r1")[1].available


def test_rs_t3_truth_is_shown_of_locked_practice_cases_only(make_study, store, clock, show, normal_form):
    from reader_study.domain.truth import Truth
    from reader_study.feedback import show_feedback
    from resources.vocabulary import Laterality, Pathology

    study = replace(make_study(n_cases=2, practice=1), training=Training(feedback=True))
    sessions = Sessions(study=study, store=store, clock=clock)
    practice = sessions.open("ST.r1.p0", "r1", {}).case_id
    truth = Truth(case_id=practice, breasts={Laterality.RIGHT: Pathology.MALIGNANT})
    show(sessions, "ST.r1.p0", clock)
    with pytest.raises(IllegalTransition, match="locked practice case"):
        show_feedback(sessions, study, "ST.r1.p0", truth)
    sessions.submit("ST.r1.p0", normal_form)
    assert show_feedback(sessions, study, "ST.r1.p0", truth)["breasts"] == {"R": "malignant"}
    counted = sessions.open(SID, "r1", {}).case_id
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    with pytest.raises(StudyError, match="not shown"):
        show_feedback(sessions, study, SID, replace(truth, case_id=counted))
    with pytest.raises(IllegalTransition, match="practice"):
        sessions.feedback_shown(SID, counted, {"breasts": {}})
    sessions.shutdown()


def test_rs_c2_a_warning_is_submitted_once_the_reader_confirms(make_study, store, clock, show, normal_form):
    from reader_study.domain.conduct import Consistency
    from reader_study.sessions import AssessmentIncomplete

    base = make_study(n_cases=2)
    study = replace(base, scale=replace(base.scale, consistency=Consistency.WARN))
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    odd = replace(
        normal_form, breasts=(replace(normal_form.breasts[0], suspicion=90), normal_form.breasts[1])
    )
    with pytest.raises(AssessmentIncomplete) as caught:
        sessions.submit(SID, odd)
    assert [problem.warning for problem in caught.value.problems] == [True]
    gap = replace(odd, recall=None)
    with pytest.raises(AssessmentIncomplete):
        sessions.submit(SID, gap, confirmed=True)
    assert sessions.submit(SID, odd, confirmed=True).index == 1
