//! What `CheckOnline`'s codes mean for a receipt: one table, looked up by who answered and by the code.
//!
//! Nothing here reads a vendor's text. A code that is not in the table is [`RetryClass::Unknown`], because nothing is
//! known of what it proves; a service that says itself that repeating may help (`Fatal` false) is believed.

mod table;

use receipt::{Refusal, RetryClass, Seen, Text};

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The register: `Response.Error`.
    Device,
    /// The service before the registers: `FCEError`.
    Cloud,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Cloud => "fce",
        }
    }
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Repeat later under the same id; no register was asked.
    NotSeen,
    /// Repeat later under the same id; a register may have closed the document.
    MaybeSeen,
    /// Our own earlier call is still at work: repeat under the same id, which costs no trial.
    Running,
    /// A person must mend the account, the register or the fiscal drive.
    Halt {
        /// Whether the answer is about the account alone.
        certain: bool,
    },
    /// A person must mend the receipt.
    Permanent,
    /// Nobody can tell without looking.
    Unknown,
}

impl Verdict {
    pub(super) const fn class(self) -> RetryClass {
        match self {
            Self::NotSeen => RetryClass::NOT_SEEN,
            Self::MaybeSeen => RetryClass::MAYBE_SEEN,
            Self::Running => RetryClass::Retry {
                seen: Seen::Running,
                after: None,
            },
            Self::Halt { certain } => RetryClass::Halt { certain },
            Self::Permanent => RetryClass::Permanent,
            Self::Unknown => RetryClass::Unknown,
        }
    }
}

/// For how long a repetition under the same id is recognised after the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// The service keeps its answers, or nothing was registered.
    Service,
    /// The register may have closed the document although it answered with an error that the service does not keep: only
    /// the register's own memory of an hour stands between a repetition and a second document.
    Device,
}

/// What the service does with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// It gives the same answer to every request under the id for 31 days, whatever its content: the id is spent.
    Yes,
    /// A repetition is carried out.
    No,
}

/// What an answer with the code proves about the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing was registered under it by this call.
    NotRegistered,
    /// Nothing.
    Nothing,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) kind: Kind,
    pub(super) code: i64,
    pub(super) verdict: Verdict,
    /// What it is instead when `Fatal` says so; the register's answers have no such field.
    pub(super) contradicted: Option<(bool, Verdict)>,
    pub(super) proves: Proof,
    pub(super) memory: Memory,
    pub(super) repeats: Repeats,
    /// What happened: Russian, English.
    pub(super) cause: [&'static str; 2],
    /// What to do: Russian, English.
    pub(super) cure: [&'static str; 2],
    /// Where it is documented.
    pub(super) source: &'static str,
}

impl Code {
    pub(super) fn verdict(&self, fatal: Option<bool>) -> Verdict {
        match (self.contradicted, fatal) {
            (Some((when, verdict)), Some(fatal)) if when == fatal => verdict,
            (Some(_) | None, Some(_) | None) => self.verdict,
        }
    }

    /// The refusal that this code means.
    pub(super) fn refusal(&self, fatal: Option<bool>, message: String) -> Refusal {
        Refusal {
            class: self.verdict(fatal).class(),
            kind: self.kind.name().to_owned(),
            code: self.code.to_string(),
            message,
            cause: text(self.cause),
            cure: text(self.cure),
        }
    }
}

/// The whole table.
pub(super) const fn all() -> &'static [Code] {
    table::TABLE
}

/// The line of a code.
pub(super) fn find(kind: Kind, code: i64) -> Option<&'static Code> {
    all().iter().find(|row| row.kind == kind && row.code == code)
}

/// Who recognises a repetition after this refusal. What an error in the service's own words without a line in the table
/// leaves behind is in nobody's memory that we know of.
pub(super) fn memory_after(refusal: &Refusal) -> Memory {
    match named(&refusal.kind, &refusal.code) {
        Some(row) => row.memory,
        None if [Kind::Device, Kind::Cloud]
            .map(Kind::name)
            .contains(&refusal.kind.as_str()) =>
        {
            Memory::Device
        }
        None => Memory::Service,
    }
}

/// The line of a refusal's kind and code.
pub(super) fn named(kind: &str, code: &str) -> Option<&'static Code> {
    let code: i64 = code.parse().ok()?;
    all().iter().find(|row| row.code == code && row.kind.name() == kind)
}

/// A code that the table does not have.
pub(super) fn unlisted(kind: Kind, code: i64, fatal: Option<bool>, message: String) -> Refusal {
    let class = match (kind, fatal) {
        (Kind::Cloud, Some(false)) => RetryClass::MAYBE_SEEN,
        (Kind::Cloud, Some(true) | None) | (Kind::Device, _) => RetryClass::Unknown,
    };
    Refusal {
        class,
        kind: kind.name().to_owned(),
        code: code.to_string(),
        message,
        cause: Text::new(
            "Код ошибки не описан в документах «Чек Онлайн».",
            "The code is not in CheckOnline's documents.",
        ),
        cure: Text::new(
            "Найдите чек в личном кабинете «Чек Онлайн» или у ОФД и сообщите код в поддержку сервиса.",
            "Look the receipt up in CheckOnline's cabinet or at the OFD and give the code to the service's support.",
        ),
    }
}

pub(super) fn text([ru, en]: [&'static str; 2]) -> Text {
    Text::new(ru, en)
}
