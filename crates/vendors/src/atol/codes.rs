//! What ATOL Online's codes mean for a receipt: one table, looked up by type and code and by the call it was met in.
//!
//! Nothing here reads a vendor's text. A code that is not in the table is [`RetryClass::Unknown`] wherever it decides
//! about a receipt, because nothing is known of what it proves.

mod table;

use receipt::{Refusal, RetryClass, Text};

/// `error.type` as the vendor spells it (v4 document 5.23 §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The service itself.
    System,
    /// The service, when it does not know what went wrong.
    Unknown,
    /// The queue in front of the registers.
    Timeout,
    /// The program that feeds a register.
    Agent,
    /// The register.
    Driver,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Unknown => "unknown",
            Self::Timeout => "timeout",
            Self::Agent => "agent",
            Self::Driver => "driver",
        }
    }
}

/// The call that an answer belongs to. The same service code means different things in different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `getToken`: nothing can be registered by it.
    Token,
    /// `sell` or `sell_refund`.
    Registration,
    /// `report`.
    Report,
}

/// What a code means in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Repeat later; it certainly registered nothing.
    NotSeen,
    /// Repeat later under the same id; it may have registered something.
    MaybeSeen,
    /// Get a fresh token and repeat once inside the attempt; a second time it is [`Verdict::Halt`].
    FreshToken,
    /// The id is taken: the answer names the document to follow.
    Adopt,
    /// Says nothing about the document asked for.
    NoNews,
    /// The document is not finished.
    Wait,
    /// The id is dead, the content is good.
    Rekey,
    /// A person must mend the account.
    Halt,
    /// A person must mend the receipt.
    Permanent,
    /// Nobody can tell without looking.
    Unknown,
}

impl Verdict {
    /// The class of a refusal with this verdict.
    ///
    /// The verdicts that are no refusals of the receipt are plain "ask again": whoever turns one into a refusal after
    /// all has an answer that lacks what it should carry (a duplicate without a uuid, say).
    pub(super) const fn class(self, place: Place) -> RetryClass {
        match self {
            Self::NotSeen | Self::NoNews | Self::Wait => RetryClass::NOT_SEEN,
            Self::MaybeSeen | Self::Adopt => RetryClass::MAYBE_SEEN,
            Self::Rekey => RetryClass::Rekey,
            Self::Halt | Self::FreshToken => RetryClass::Halt {
                certain: matches!(place, Place::Token),
            },
            Self::Permanent => RetryClass::Permanent,
            Self::Unknown => RetryClass::Unknown,
        }
    }
}

/// What an answer with the code proves about the registration it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing was registered under the id by the call or the document.
    NotRegistered,
    /// The vendor holds a document under the id.
    Taken,
    /// Nothing.
    Nothing,
}

/// The verdict in each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) token: Verdict,
    pub(super) registration: Verdict,
    pub(super) report: Verdict,
}

impl Places {
    /// A code of a finished document. Elsewhere it is out of place, and what it would prove there nobody has said.
    const fn in_report(report: Verdict) -> Self {
        Self {
            token: Verdict::NotSeen,
            registration: Verdict::Unknown,
            report,
        }
    }

    pub(super) const fn of(self, place: Place) -> Verdict {
        match place {
            Place::Token => self.token,
            Place::Registration => self.registration,
            Place::Report => self.report,
        }
    }
}

/// Register codes that share a meaning for the receipt and a remedy.
///
/// The documents sort them by remedy (correct, send again, call the administrator). What each proves is our reading,
/// and a careful one: a code of trouble at the register counts as a proof only where the trouble stops the register
/// **before** it opens a document. Everything else that is not the receipt's own fault is for a person to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// The receipt is wrong ("correct and send").
    Receipt,
    /// Called a wrong request, to be mended by the administrator.
    Request,
    /// Above a limit of the register.
    Limit,
    /// The documents say to send the receipt again.
    Resend,
    /// The register's registration.
    Registration,
    /// The register's licence.
    Licence,
    /// Shift and clock.
    Shift,
    /// Life and capacity of the fiscal drive.
    DriveLife,
    /// Set-up of register or driver.
    Settings,
    /// A broken exchange or an interrupted closing: the document may exist.
    Exchange,
    /// Nothing says at which moment the register gave up.
    Undecided,
}

impl Group {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Receipt | Self::Request | Self::Limit => Verdict::Permanent,
            Self::Resend | Self::Registration | Self::Licence | Self::Shift | Self::DriveLife | Self::Settings => {
                Verdict::Rekey
            }
            Self::Exchange | Self::Undecided => Verdict::Unknown,
        }
    }

    const fn proof(self) -> Proof {
        match self.verdict() {
            Verdict::Permanent | Verdict::Rekey => Proof::NotRegistered,
            Verdict::Adopt => Proof::Taken,
            Verdict::NotSeen
            | Verdict::MaybeSeen
            | Verdict::FreshToken
            | Verdict::NoNews
            | Verdict::Wait
            | Verdict::Halt
            | Verdict::Unknown => Proof::Nothing,
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Receipt => "v5 document 3.5 §7.2: correct the receipt and send it",
            Self::Request => "v5 document 3.5 §7.2: wrong request, call the administrator",
            Self::Limit => "v5 document 3.5 §7.2: limit of the receipt's sum",
            Self::Resend => "v5 document 3.5 §7.2: send the receipt again",
            Self::Registration | Self::Licence | Self::Shift | Self::DriveLife | Self::Settings => {
                "v5 document 3.5 §7.2: call the administrator; refused before a document is opened"
            }
            Self::Exchange => "v5 document 3.5 §7.2: call the administrator; the exchange or the closing broke off",
            Self::Undecided => "v5 document 3.5 §7.2: call the administrator; no word on when it was refused",
        }
    }

    const fn cure(self) -> [&'static str; 2] {
        match self {
            Self::Receipt => [
                "Исправьте данные чека и отправьте его заново.",
                "Correct the receipt's data and send it again.",
            ],
            Self::Request => [
                "Проверьте данные чека; если они верны, обратитесь к администратору касс.",
                "Check the receipt's data; if they are right, ask the registers' administrator.",
            ],
            Self::Limit => [
                "Разделите чек или попросите администратора касс снять ограничение суммы.",
                "Split the receipt or ask the registers' administrator to lift the limit of the sum.",
            ],
            Self::Resend => [
                "Ничего делать не нужно: чек уйдёт сам под следующим номером.",
                "Nothing needs to be done: the receipt goes out by itself under the next id.",
            ],
            Self::Registration => [
                "Администратору касс: исправьте регистрацию кассы. Чек уйдёт сам под следующим номером.",
                "Registers' administrator: mend the register's registration. The receipt goes out by itself under the next id.",
            ],
            Self::Licence => [
                "Администратору касс: обновите лицензию кассы. Чек уйдёт сам под следующим номером.",
                "Registers' administrator: renew the register's licence. The receipt goes out by itself under the next id.",
            ],
            Self::Shift => [
                "Администратору касс: проверьте смену и часы кассы. Чек уйдёт сам под следующим номером.",
                "Registers' administrator: check the register's shift and clock. The receipt goes out by itself under the next id.",
            ],
            Self::DriveLife => [
                "Администратору касс: замените фискальный накопитель. Чек уйдёт сам под следующим номером.",
                "Registers' administrator: replace the fiscal drive. The receipt goes out by itself under the next id.",
            ],
            Self::Settings => [
                "Администратору касс: исправьте настройки кассы. Чек уйдёт сам под следующим номером.",
                "Registers' administrator: mend the register's set-up. The receipt goes out by itself under the next id.",
            ],
            Self::Exchange | Self::Undecided => [
                "Найдите чек в личном кабинете или у ОФД и запишите, зарегистрирован ли он; сам он не повторится.",
                "Look the receipt up in the cabinet or at the OFD and record whether it is registered; it is not repeated by itself.",
            ],
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) kind: Kind,
    pub(super) code: i64,
    pub(super) places: Places,
    pub(super) proves: Proof,
    /// What happened: Russian, English.
    pub(super) cause: [&'static str; 2],
    /// What to do: Russian, English.
    pub(super) cure: [&'static str; 2],
    /// Where it is documented.
    pub(super) source: &'static str,
}

impl Code {
    /// The refusal that this code means in that place.
    pub(super) fn refusal(&self, place: Place, message: String) -> Refusal {
        Refusal {
            class: self.places.of(place).class(place),
            kind: self.kind.name().to_owned(),
            code: self.code.to_string(),
            message,
            cause: text(self.cause),
            cure: text(self.cure),
        }
    }
}

/// The whole table, in the order of the documents.
pub(super) const fn all() -> &'static [Code] {
    table::TABLE
}

/// The line of a pair as it stands in an answer. The type is compared without regard to case.
pub(super) fn find(kind: &str, code: i64) -> Option<&'static Code> {
    all()
        .iter()
        .find(|row| row.code == code && row.kind.name().eq_ignore_ascii_case(kind))
}

/// A code that the table does not have.
pub(super) fn unlisted(place: Place, kind: String, code: i64, message: String) -> Refusal {
    let class = match place {
        // Neither call registers anything, so whatever went wrong there can be tried again.
        Place::Token => RetryClass::NOT_SEEN,
        Place::Registration | Place::Report => RetryClass::Unknown,
    };
    Refusal {
        class,
        kind,
        code: code.to_string(),
        message,
        cause: Text::new(
            "Код ошибки не описан в документах АТОЛ Онлайн.",
            "The code is not in ATOL Online's documents.",
        ),
        cure: Text::new(
            "Найдите чек в личном кабинете АТОЛ Онлайн и сообщите код в поддержку.",
            "Look the receipt up in ATOL Online's cabinet and give the code to its support.",
        ),
    }
}

pub(super) fn text([ru, en]: [&'static str; 2]) -> Text {
    Text::new(ru, en)
}
