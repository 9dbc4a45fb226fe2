"""What a coordinator's screen asks for: who is signed in, and each step through the study's ``Desk``.

Knows no Qt, no database engine and no truth; work on files comes in behind the port ``StudyFiles``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.control.allocation_preview import Share, shares
from app.control.coordination_ports import (
    CaseImport,
    Exported,
    Records,
    Row,
    StudyFiles,
    TruthCoverage,
    Verdict,
    VersionRecord,
)
from app.control.monitoring import ReadingTimes
from app.control.protocol_values import redrawn, study_of_text, study_of_values
from app.control.tasks import TaskContext
from reader_study.accounts import SignedIn, hash_password
from reader_study.attempts import Door, enter
from reader_study.audit import AuditEntry, Deed, StudyStage
from reader_study.desk import Desk, Done, next_version
from reader_study.domain.events import EventKind
from reader_study.domain.study import Case, Reader, Study
from reader_study.errors import SignInRefused, StudyError
from reader_study.file_digests import digests, file_digest
from reader_study.monitor import MonitorRow, monitor
from reader_study.permissions import Account, Action, NotPermitted, Role, may
from reader_study.ports import Clock
from reader_study.station_time import trusted_utc
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("coordinating", text)


@dataclass(kw_only=True)
class Coordinating:
    """One station's way into the coordinator's area; ``sign_in`` opens it, ``sign_out`` forgets everything."""

    records: Records
    files: StudyFiles
    clock: Clock
    anchor: Path | None = None
    times: ReadingTimes = field(default_factory=ReadingTimes)
    _signed_in: SignedIn | None = field(default=None, init=False)
    _desk: Desk | None = field(default=None, init=False)
    _study_id: str = field(default="", init=False)
    _seen: tuple[Study, Study] | None = field(default=None, init=False)  # as kept, and without passwords

    # -- who ------------------------------------------------------------------------------------------------

    def study_ids(self) -> tuple[str, ...]:
        """Return the studies of the database, for the choice at sign-in."""
        return self.records.studies()

    def lacks_coordinator(self, study_id: str) -> bool:
        """True when nobody but readers has an account: then the first coordinator may be named."""
        return all(account.role is Role.READER for account in self.records.accounts(study_id))

    def sign_in(self, study_id: str, account_id: str, password: str) -> Account:
        """Return the account of any role; SignInRefused otherwise. A reader gets no way in here, only her account."""
        door = Door(store=self.records.events, clock=self.clock, study_id=study_id, anchor=self.anchor)
        account = enter(door, self.records.accounts(study_id), account_id, password)
        if account.role is not Role.READER:
            self._enter(account, study_id, self.records.study(study_id).conduct.session_timeout_min)
        return account

    def begin(self, study: Study, *, account_id: str, name: str, password: str) -> Account:
        """Keep a new study with its first coordinator, and sign her in.

        Raises
        ------
        StudyError
            A study of that id is there already, or a field is empty.
        """
        if study.study_id in self.records.studies():
            raise StudyError(
                _tr("Study {0}: it is in this database already; sign in, or choose another study id.").format(
                    study.study_id
                )
            )
        account = _new_account(account_id, name, Role.COORDINATOR, password)
        self._enter(account, study.study_id, study.conduct.session_timeout_min)
        self.desk.draft(study)
        self.desk.put_account(account)
        return account

    def name_coordinator(self, study_id: str, *, account_id: str, name: str, password: str) -> Account:
        """Give a study its first coordinator; NotPermitted when it has somebody who may do that."""
        if not self.lacks_coordinator(study_id):
            raise NotPermitted(
                _tr("Study {0}: it has a coordinator or an administrator; ask one of them.").format(study_id)
            )
        study = self.records.study(study_id)
        if account_id in {reader.reader_id for reader in study.readers}:
            raise StudyError(_tr("{0} is a reader of this study; choose another name.").format(account_id))
        account = _new_account(account_id, name, Role.COORDINATOR, password)
        self._enter(account, study_id, study.conduct.session_timeout_min)
        self.desk.put_account(account)
        return account

    def _enter(self, account: Account, study_id: str, timeout_min: float | None) -> None:
        self._signed_in = SignedIn(account, self.clock, timeout_min)
        self._study_id = study_id
        self._desk = Desk(
            database=self.records,
            clock=self.clock,
            signed_in=self._signed_in,
            study_id=study_id,
            anchor=self.anchor,
        )

    def sign_out(self) -> None:
        self._signed_in, self._desk, self._study_id, self._seen = None, None, "", None
        self.times = ReadingTimes()

    @property
    def account(self) -> Account:
        if self._signed_in is None:
            raise SignInRefused(_tr("Nobody is signed in; sign in first."))
        return self._signed_in.account

    @property
    def has_run_out(self) -> bool:
        """True once a signed-in person gave no input for too long."""
        return self._signed_in is not None and self._signed_in.has_run_out

    def touch(self) -> None:
        """There was input from the person who is signed in."""
        if self._signed_in is not None and not self._signed_in.has_run_out:
            self._signed_in.touch()

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            raise SignInRefused(_tr("Nobody is signed in; sign in first."))
        return self._desk

    def why_not(self, action: Action) -> str | None:
        """Return why the signed-in person may not do something now; None when she may."""
        return may(self.account, action, self.study, locked=self.stage.locked)

    # -- protocol -------------------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """The protocol in force, or the draft."""
        self.desk.stage()  # nobody signed in: nothing to see
        if self._study_id not in self.records.studies():
            raise StudyError(_tr("No protocol is kept yet; save a draft."))
        kept = self.records.study(self._study_id)
        if (
            self._seen is None or self._seen[0] is not kept
        ):  # the database hands out the same object until it changes
            blind = tuple(replace(one, password_hash=None) for one in kept.readers)
            self._seen = (kept, replace(kept, readers=blind))
        return self._seen[1]

    @property
    def stage(self) -> StudyStage:
        return self.desk.stage()

    def versions(self) -> tuple[VersionRecord, ...]:
        self._require(Action.SEE_BALANCE)
        return tuple(self.records.protocol_versions(self._study_id))

    def save(self, values: Mapping[str, object] | str, why: str) -> Study:
        """Keep the form's values or a YAML text: as the draft, or as an amendment of a frozen protocol."""
        study = study_of_text(values) if isinstance(values, str) else study_of_values(values)
        self._keep(study, why)
        return study

    def _keep(self, study: Study, why: str) -> None:
        if self.stage.frozen:
            self.desk.amend(study, why=why)
        else:
            self.desk.draft(study, why=why)

    # -- cases ----------------------------------------------------------------------------------------------

    def import_cases(self, source: Path, context: TaskContext) -> CaseImport:
        """De-identify exams into the case folder and, while the protocol is a draft, name them in it."""
        return self.importer()(source, context)

    def importer(self) -> Callable[[Path, TaskContext], CaseImport]:
        """Return the import as work of the person who is signed in now: it goes on when she is signed out meanwhile."""
        self._require(Action.IMPORT_CASES)
        desk = self.desk

        def bring(source: Path, context: TaskContext) -> CaseImport:
            made = self.files.import_cases(source, context)
            if not desk.stage().frozen:
                desk.cases_imported(lambda study: self._with_stored(study, made))
            return made

        return bring

    def _with_stored(self, study: Study, made: CaseImport) -> tuple[Study, Done]:
        stored = {case.case_id: case for case in self.files.stored_cases()}
        known = {case.case_id: case for case in study.cases}
        cases = [case for case in study.cases if case.exam_digest and case.case_id not in stored]
        # One folder serves all studies of a database: another study's cases come in only by their own import.
        others = [self.records.study(one).cases for one in self.records.studies() if one != study.study_id]
        strange = {case.case_id for named in others for case in named} - known.keys()
        strange -= {str(row[2]) for row in made.rows}
        for case_id, case in sorted(stored.items()):
            if case_id in strange:
                continue
            old = known.get(case_id, case)
            cases.append(replace(case, practice=old.practice, stratum=old.stratum, history=old.history))
        new = redrawn(replace(study, cases=tuple(cases)))
        return new, Done(subject=_tr("case folder"), new={"cases": len(cases), "new": made.new_cases})

    def change_cases(self, change: Mapping[str, Case], why: str = "") -> None:
        """Replace cases of the draft (practice, stratum, history); the allocation is drawn anew."""
        study = self.study
        cases = tuple(change.get(case.case_id, case) for case in study.cases)
        self._keep(redrawn(replace(study, cases=cases)), why)

    def import_truth(self, csv: Path) -> TruthCoverage:
        """Check and keep the truth; TruthRefused lists every wrong cell. What it says is not handed back."""

        def work(_study: Study) -> tuple[TruthCoverage, Done]:
            made = self.files.import_truth(csv)
            return made, Done(subject=csv.name, new={"cases": made.cases, "covered": made.covered})

        return self.desk.permitted(Action.IMPORT_TRUTH, EventKind.TRUTH_IMPORTED, work)

    def truth_coverage(self) -> TruthCoverage:
        self._require(Action.IMPORT_TRUTH)
        return self.files.truth_coverage()

    def truth_rows(self) -> tuple[Row, ...]:
        """Return what is in each case; NotPermitted before the lock. That it was looked at is in the audit."""

        def work(study: Study) -> tuple[tuple[Row, ...], Done]:
            own = {case.case_id for case in study.cases}  # the file may speak of another study's cases too
            rows = tuple(row for row in self.files.truth_rows() if row[0] in own)
            return rows, Done(subject="truth", new={"rows": len(rows)})

        return self.desk.permitted(Action.SEE_TRUTH, EventKind.RESULTS_SEEN, work)

    def results_seen(self, source: Path) -> None:
        """Keep in the audit that results were looked at: who, when, of which file; NotPermitted before the lock.

        ``source`` is an export folder or one data file. Who knows aggregate results of a set of cases must be
        known when the cases are used again.
        """
        table = source / "readings.csv" if source.is_dir() else source
        new: dict[str, object] = {"from": source.name, "sha256": file_digest(table)}
        self.desk.permitted(
            Action.SEE_RESULTS,
            EventKind.RESULTS_SEEN,
            lambda _study: (None, Done(subject="results", new=new)),
        )

    def stratify(self) -> int:
        """Give the draft's cases neutral stratum labels from the truth; returns how many strata there are."""
        self._require(Action.DRAFT)
        labels = self.files.strata()
        study = self.study
        self.change_cases(
            {
                case.case_id: replace(case, stratum=labels[case.case_id])
                for case in study.cases
                if case.case_id in labels
            },
            _tr("strata from the truth, under neutral labels"),
        )
        return len(set(labels.values()))

    # -- readers --------------------------------------------------------------------------------------------

    def accounts(self) -> tuple[Account, ...]:
        """Return who has an account in this study; a password shows only as being there or not."""
        self._require(Action.MONITOR if self.account.role is not Role.ADMINISTRATOR else Action.ACCOUNTS)
        shown = self.records.accounts(self._study_id)
        return tuple(replace(one, password_hash="set" if one.password_hash else None) for one in shown)

    def save_reader(self, reader: Reader, *, password: str = "", why: str = "") -> None:
        """Enrol a reader or change what is recorded of her; a password, where one is given, is set too."""
        hashed = hash_password(password) if password else None
        study = self.study
        known = {one.reader_id: one for one in study.readers}
        if reader.reader_id not in known:
            self.desk.enrol(reader, password_hash=hashed, why=why)
            return
        if known[reader.reader_id] != reader:
            readers = tuple(reader if one.reader_id == reader.reader_id else one for one in study.readers)
            changed = replace(study, readers=readers)
            if self.stage.frozen:
                changed = replace(changed, protocol_version=next_version(study.protocol_version))
            self._keep(changed if self.stage.frozen else redrawn(changed), why)
        if hashed is not None:
            account = Account(
                account_id=reader.reader_id, name=reader.name, role=Role.READER, password_hash=hashed
            )
            self.desk.put_account(account, why=_tr("password set"))

    def save_account(self, account_id: str, name: str, role: Role, password: str) -> None:
        """Make or change the account of a coordinator, statistician or administrator."""
        if account_id in {reader.reader_id for reader in self.study.readers}:
            raise StudyError(_tr("{0} is a reader of this study; choose another name.").format(account_id))
        kept = {one.account_id: one.password_hash for one in self.records.accounts(self._study_id)}
        if not password and kept.get(account_id):
            account = Account(account_id=account_id, name=name, role=role, password_hash=kept[account_id])
        else:
            account = _new_account(account_id, name, role, password)
        self.desk.put_account(account)

    # -- while it runs, and after -----------------------------------------------------------------------------

    def draw(self, seed: int) -> None:
        """Draw the draft's allocation from a seed."""
        self._keep(redrawn(replace(self.study, seed=seed)), _tr("allocation drawn"))

    def allocation_rows(self) -> tuple[Row, ...]:
        """Return reader, period, position, case and arm; NotPermitted while the allocation is concealed."""
        self._require(Action.SEE_ALLOCATION)
        return tuple(
            (plan.reader_id, plan.period, place, entry.case_id, entry.arm_id)
            for plan in self.study.plans
            for place, entry in enumerate(plan.entries, start=1)
        )

    def monitor(self) -> tuple[tuple[MonitorRow, ...], Mapping[str, tuple[float, ...]]]:
        """Return every session's progress, and the reading times of each session, s."""
        events = self.desk.events(Action.MONITOR)
        rows = monitor(self.study, events, trusted_utc(events, self.clock))
        return rows, self.times.update(rows, events)

    def shares(self) -> tuple[Share, ...]:
        """Return the balance of the allocation by reader, session, arm and stratum: counts only."""
        self._require(Action.SEE_BALANCE)
        return shares(self.study)

    def export(self, folder: Path, context: TaskContext) -> Exported:
        """Write every format into an empty folder; NotPermitted before the lock, unless the protocol opens it."""
        events = self.desk.events(Action.EXPORT)

        def work(study: Study) -> tuple[Exported, Done]:
            made = self.files.export(study, events, folder, context)
            return made, Done(subject=folder.name, new={"files": digests(made.written, folder)})

        begun = Deed(kind=EventKind.EXPORT_BEGUN, subject=folder.name)
        return self.desk.permitted(Action.EXPORT, EventKind.EXPORT_MADE, work, begun=begun)

    def backup(self, file: Path) -> str:
        return self._transfer(file, restoring=False)

    def restore(self, file: Path) -> str:
        return self._transfer(file, restoring=True)

    def _transfer(self, file: Path, *, restoring: bool) -> str:
        def work(_study: Study) -> tuple[str, Done]:
            said = self.files.restore(file) if restoring else self.files.backup(file)
            facts = {"restored" if restoring else "made": said, "sha256": file_digest(file)}
            return said, Done(subject=file.name, new=facts)

        new = {"what": "restore" if restoring else "backup"}
        begun = Deed(kind=EventKind.BACKUP_BEGUN, subject=file.name, new=new)
        return self.desk.permitted(Action.BACK_UP, EventKind.BACKUP_MADE, work, begun=begun)

    def audit(self) -> Sequence[AuditEntry]:
        return self.desk.audit()

    def verify(self) -> Verdict:
        self._require(Action.SEE_AUDIT)
        return self.files.verify()

    def _require(self, action: Action) -> None:
        self.desk.events(action)  # the desk asks the table of permissions, and counts it as input


def _new_account(account_id: str, name: str, role: Role, password: str) -> Account:
    if not account_id.strip() or not name.strip() or not password:
        raise StudyError(_tr("Account: expected a sign-in name, a full name and a password; fill them in."))
    return Account(
        account_id=account_id.strip(), name=name.strip(), role=role, password_hash=hash_password(password)
    )
