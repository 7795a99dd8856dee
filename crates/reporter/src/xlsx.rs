//! The report as a workbook for Excel and its like: totals, every receipt, and what needs a person.
//!
//! The receipts pass through: a month of them is never in memory at once.

mod problems;
mod receipts;
mod sheet;
mod totals;

use ledger::Ledger;
use rust_xlsxwriter::{DocProperties, Workbook as Book};

use crate::export::ExportError;
use crate::language::Language;
use crate::register::Register;
use crate::statistics::{Question, Statistics, wanted};
use receipts::Receipts;

/// How many problems a workbook lists.
const PROBLEMS: usize = 10_000;

/// A workbook and the figures that stand in it.
#[derive(Debug)]
pub struct Workbook {
    /// The figures of each question, as the workbook has them.
    pub statistics: Vec<Statistics>,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A workbook with totals, receipts and problems, all from one snapshot.
///
/// # Errors
/// An outage of the database, or no room for the temporary file.
pub async fn workbook(ledger: &Ledger, questions: &[Question], language: Language) -> Result<Workbook, ExportError> {
    let register = Register::of(questions);
    let mut draft = Draft::begin(language, receipts::ROOM)?;
    let mut written = Ok(());
    let figures = ledger
        .figures_and_register(&wanted(questions, PROBLEMS), &mut |entry| {
            if written.is_ok() {
                written = draft.receipts.row(&mut draft.book, &register.cells(&entry));
            }
        })
        .await?;
    written?;
    let statistics: Vec<_> = questions.iter().cloned().zip(figures).map(Statistics::of).collect();
    let bytes = draft.end(&statistics)?;
    Ok(Workbook { statistics, bytes })
}

/// A workbook whose receipts are being written.
struct Draft {
    book: Book,
    receipts: Receipts,
    language: Language,
}

impl Draft {
    /// The sheets stand in the order in which people read them; only that of the receipts is written as they come.
    fn begin(language: Language, room: u32) -> Result<Self, ExportError> {
        let mut book = Book::new();
        book.set_properties(&DocProperties::new().set_title(language.choose("Чеки", "Receipts")));
        book.add_worksheet();
        let receipts = Receipts::begin(&mut book, language, room)?;
        Ok(Self {
            book,
            receipts,
            language,
        })
    }

    fn end(self, statistics: &[Statistics]) -> Result<Vec<u8>, ExportError> {
        let Self {
            mut book,
            receipts,
            language,
        } = self;
        receipts.end(&mut book)?;
        let totals = book.worksheet_from_index(0).map_err(ExportError::write)?;
        totals::write(totals, statistics, &receipts, language)?;
        problems::write(book.add_worksheet(), statistics, language)?;
        book.save_to_buffer().map_err(ExportError::write)
    }
}

#[cfg(test)]
mod tests;
