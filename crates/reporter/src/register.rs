//! The columns of the register of receipts, as a file for a spreadsheet has them and as one for a program has them.
//!
//! Nothing of the buyer's is in it: a register goes by mail and lies in folders.

use std::collections::HashMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ledger::RegisterEntry;
use receipt::{Money, Operation};
use uuid::Uuid;

use crate::language::Language;
use crate::statistics::Question;
use crate::words::{self, Standing};

/// One column.
pub(crate) struct Column {
    /// For programs.
    pub(crate) name: &'static str,
    ru: &'static str,
    en: &'static str,
    /// In a spreadsheet, in characters.
    pub(crate) width: u8,
}

impl Column {
    pub(crate) const fn heading(&self, language: Language) -> &'static str {
        language.choose(self.ru, self.en)
    }
}

const fn column(name: &'static str, ru: &'static str, en: &'static str, width: u8) -> Column {
    Column { name, ru, en, width }
}

/// In the order of [`Register::cells`].
pub(crate) const COLUMNS: [Column; 18] = [
    column(
        "accepted_at",
        "Принят (время магазина)",
        "Accepted (time of the store)",
        20,
    ),
    column("store", "Магазин", "Store", 12),
    column("operation", "Операция", "Operation", 16),
    column("document", "Документ", "Document", 16),
    column("part", "Часть", "Part", 8),
    column("order", "Заказ", "Order", 16),
    column("state", "Состояние", "State", 24),
    column("total", "Сумма, ₽", "Sum, ₽", 14),
    column("fn", "ФН", "FN", 18),
    column("fd", "ФД", "FD", 10),
    column("fpd", "ФПД", "FPD", 13),
    column(
        "registered_at",
        "Пробит (время кассы)",
        "Registered (time of the register)",
        20,
    ),
    column("shift", "Смена", "Shift", 8),
    column("receipt_number", "Чек в смене", "Receipt in the shift", 11),
    column("external_id", "Внешний ключ", "External id", 32),
    column("vendor_uuid", "Идентификатор кассы", "Id at the vendor", 38),
    column("account", "Учётная запись", "Account", 14),
    column("id", "Идентификатор", "Id", 38),
];

/// Which of [`COLUMNS`] holds the sum.
pub(crate) const SUM: u16 = 7;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Empty,
    Operation(Operation),
    Standing(Standing),
    /// A name or number that is no quantity: shown exactly as it is.
    Name(&'a str),
    Id(Uuid),
    Number(i64),
    Money(Money),
    /// With a zone where we know the moment, without where a register kept its own time.
    Time(DateTime, Option<TimeZone>),
}

impl Cell<'_> {
    /// As a program reads it.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Operation(operation) => operation.name().to_owned(),
            Self::Standing(standing) => standing.name().to_owned(),
            Self::Name(name) => (*name).to_owned(),
            Self::Id(id) => id.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Money(money) => money.to_string(),
            Self::Time(time, zone) => {
                let zoned = zone.as_ref().and_then(|zone| zone.to_zoned(*time).ok());
                zoned.map_or_else(
                    || time.to_string(),
                    |zoned| zoned.timestamp().display_with_offset(zoned.offset()).to_string(),
                )
            }
        }
    }

    /// The word of what people are told in words.
    pub(crate) fn word(&self, language: Language) -> Option<&'static str> {
        match self {
            Self::Operation(operation) => Some(words::operation(*operation, language)),
            Self::Standing(standing) => Some(standing.word(language)),
            Self::Empty | Self::Name(_) | Self::Id(_) | Self::Number(_) | Self::Money(_) | Self::Time(..) => None,
        }
    }
}

/// What a row needs to know beyond the receipt: the zone of each store.
pub(crate) struct Register {
    zones: HashMap<String, TimeZone>,
}

impl Register {
    pub(crate) fn of(questions: &[Question]) -> Self {
        let zones = questions
            .iter()
            .map(|question| (question.store.to_string(), question.bounds.zone.clone()));
        Self { zones: zones.collect() }
    }

    pub(crate) fn cells<'a>(&self, entry: &'a RegisterEntry) -> [Cell<'a>; COLUMNS.len()] {
        let zone = self.zones.get(&entry.store).cloned().unwrap_or(TimeZone::UTC);
        let name = |name: &'a Option<String>| name.as_deref().map_or(Cell::Empty, Cell::Name);
        let number = |number: Option<i64>| number.map_or(Cell::Empty, Cell::Number);
        [
            Cell::Time(zone.to_datetime(entry.accepted_at), Some(zone)),
            Cell::Name(&entry.store),
            Cell::Operation(entry.operation),
            Cell::Name(&entry.document),
            if entry.part == "main" {
                Cell::Empty
            } else {
                Cell::Name(&entry.part)
            },
            name(&entry.order),
            Cell::Standing(Standing::from(entry)),
            Cell::Money(entry.total),
            name(&entry.fn_number),
            number(entry.fd),
            // Ten digits at most, so a number that a spreadsheet holds exactly; anything else stays as it came.
            match entry.fpd.as_deref() {
                Some(fpd) => exact_number(fpd).map_or(Cell::Name(fpd), Cell::Number),
                None => Cell::Empty,
            },
            entry.registered_at.map_or(Cell::Empty, |time| Cell::Time(time, None)),
            number(entry.shift),
            number(entry.receipt_number),
            Cell::Name(&entry.external_id),
            name(&entry.vendor_uuid),
            Cell::Name(&entry.account),
            Cell::Id(entry.id),
        ]
    }
}

/// A number whose digits a spreadsheet keeps, written as a spreadsheet would write it.
fn exact_number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text && text.len() <= 15).then_some(number)
}
