//! The sheet of all receipts, written as they come.

use rust_xlsxwriter::{Workbook as Book, Worksheet};

use super::sheet::{self, Looks};
use crate::export::ExportError;
use crate::language::Language;
use crate::register::{COLUMNS, Cell, SUM};

/// A sheet has 1,048,576 rows, and the first one is the heading.
pub(super) const ROOM: u32 = 1_048_575;

/// Which sheet of the workbook it is.
const PLACE: usize = 1;

/// How far the sheet has come.
pub(super) struct Receipts {
    language: Language,
    looks: Looks,
    room: u32,
    /// How many were given.
    pub(super) given: u64,
    /// How many stand in the sheet.
    pub(super) rows: u32,
    /// The sum of those that stand in it.
    pub(super) kopecks: i64,
}

impl Receipts {
    pub(super) const fn name(language: Language) -> &'static str {
        language.choose("Чеки", "Receipts")
    }

    pub(super) fn begin(book: &mut Book, language: Language, room: u32) -> Result<Self, ExportError> {
        let looks = Looks::new();
        let sheet = book
            .add_worksheet_with_constant_memory()
            .map_err(ExportError::write)?
            .set_name(Self::name(language))
            .map_err(ExportError::write)?;
        sheet.set_freeze_panes(1, 0).map_err(ExportError::write)?;
        for (place, column) in (0..).zip(&COLUMNS) {
            sheet
                .set_column_width(place, column.width)
                .map_err(ExportError::write)?;
            sheet::text(sheet, 0, place, column.heading(language), Some(&looks.heading))?;
        }
        Ok(Self {
            language,
            looks,
            room,
            given: 0,
            rows: 0,
            kopecks: 0,
        })
    }

    /// The next receipt. What the sheet has no room for is counted.
    pub(super) fn row(&mut self, book: &mut Book, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        self.given += 1;
        if self.rows == self.room {
            return Ok(());
        }
        self.rows += 1;
        let sheet = book.worksheet_from_index(PLACE).map_err(ExportError::write)?;
        for (place, cell) in (0..).zip(cells) {
            if let (Cell::Money(money), SUM) = (cell, place) {
                self.kopecks += money.kopecks();
            }
            write(sheet, self.rows, place, cell, &self.looks, self.language)?;
        }
        Ok(())
    }

    pub(super) fn end(&self, book: &mut Book) -> Result<(), ExportError> {
        let sheet = book.worksheet_from_index(PLACE).map_err(ExportError::write)?;
        let last = u16::try_from(COLUMNS.len() - 1).unwrap_or(u16::MAX);
        sheet
            .autofilter(0, 0, self.rows, last)
            .map(|_| ())
            .map_err(ExportError::write)
    }

    /// What a reader has to know when the sheet does not hold everything.
    pub(super) fn remark(&self) -> Option<String> {
        (self.given > u64::from(self.rows)).then(|| match self.language {
            Language::Ru => format!(
                "Лист «{}» вмещает только первые {} чеков из {}; все чеки есть в выгрузке CSV.",
                Self::name(self.language),
                self.rows,
                self.given
            ),
            Language::En => format!(
                "The sheet {:?} has room for the first {} receipts of {} only; the CSV export has all of them.",
                Self::name(self.language),
                self.rows,
                self.given
            ),
        })
    }
}

pub(super) fn write(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell<'_>,
    looks: &Looks,
    language: Language,
) -> Result<(), ExportError> {
    if let Some(word) = cell.word(language) {
        return sheet::text(sheet, row, column, word, None);
    }
    match cell {
        Cell::Name(name) => sheet::text(sheet, row, column, name, Some(&looks.text)),
        Cell::Id(id) => sheet::text(sheet, row, column, &id.to_string(), None),
        Cell::Number(number) => sheet::number(sheet, row, column, *number, None),
        Cell::Money(money) => sheet::money(sheet, row, column, *money, &looks.money),
        Cell::Time(time, _) => sheet
            .write_datetime_with_format(row, column, whole_seconds(*time), &looks.time)
            .map(|_| ())
            .map_err(ExportError::write),
        Cell::Empty | Cell::Operation(_) | Cell::Standing(_) => Ok(()),
    }
}

/// A spreadsheet rounds what it shows, and 23:59:59.7 is not of the next day.
fn whole_seconds(time: jiff::civil::DateTime) -> jiff::civil::DateTime {
    time.with().subsec_nanosecond(0).build().unwrap_or(time)
}
