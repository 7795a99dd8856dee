//! The headings of a mail.

use super::Labels;
use crate::language::Language;

impl Labels {
    /// The headings in a language.
    pub(crate) const fn of(language: Language) -> Self {
        match language {
            Language::Ru => Self {
                sums: "Чеки и суммы",
                count: "Чеков",
                sum: "Сумма",
                change: "К прошлому",
                changes: "Изменилось с прошлого отчёта",
                causes: "Причины",
                cure: "Что делать:",
                example: "Например, чек",
                problems: "Нужен человек",
                order: "заказ",
                open: "Открыть список чеков",
            },
            Language::En => Self {
                sums: "Receipts and sums",
                count: "Count",
                sum: "Sum",
                change: "Before",
                changes: "Changed since the last report",
                causes: "Causes",
                cure: "What to do:",
                example: "For example, receipt",
                problems: "A person is needed",
                order: "order",
                open: "Open the list of receipts",
            },
        }
    }
}
