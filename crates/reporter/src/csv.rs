//! The register as CSV, for Excel in Russian or for programs.

use std::io::Write;

use ::csv::{ErrorKind, QuoteStyle, Terminator, Writer, WriterBuilder};
use ledger::Ledger;

use crate::export::ExportError;
use crate::language::Language;
use crate::register::{COLUMNS, Cell, Register};
use crate::statistics::{PROBLEMS_SHOWN, Question, Statistics, wanted};
use crate::words;

/// Who reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Excel with Russian settings: UTF-8 with a mark, semicolons, decimal commas, dates as it reads them, words for
    /// people; nothing is taken for a formula, and no digit of a name is lost.
    #[default]
    Excel,
    /// Programs: RFC 4180, commas, decimal points, RFC 3339 times, our own words, no mark.
    Rfc4180,
}

/// Writes the receipts of every question to `out`, oldest first, and returns the figures of the same snapshot.
///
/// # Errors
/// An outage of the database, or `out` takes no more.
pub async fn csv<W: Write + Send>(
    ledger: &Ledger,
    questions: &[Question],
    dialect: Dialect,
    language: Language,
    out: W,
) -> Result<Vec<Statistics>, ExportError> {
    let register = Register::of(questions);
    let mut file = File::begin(dialect, language, out)?;
    let mut written = Ok(());
    let figures = ledger
        .figures_and_register(&wanted(questions, PROBLEMS_SHOWN), &mut |entry| {
            if written.is_ok() {
                written = file.row(&register.cells(&entry));
            }
        })
        .await?;
    written?;
    file.end()?;
    Ok(questions.iter().cloned().zip(figures).map(Statistics::of).collect())
}

struct File<W: Write> {
    dialect: Dialect,
    language: Language,
    writer: Writer<W>,
}

impl<W: Write> File<W> {
    fn begin(dialect: Dialect, language: Language, mut out: W) -> Result<Self, ExportError> {
        let (delimiter, mark) = match dialect {
            Dialect::Excel => (b';', "\u{feff}"),
            Dialect::Rfc4180 => (b',', ""),
        };
        out.write_all(mark.as_bytes()).map_err(ExportError::write)?;
        let mut writer = WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(Terminator::CRLF)
            .quote_style(QuoteStyle::Necessary)
            .from_writer(out);
        let headings = COLUMNS.iter().map(|column| match dialect {
            Dialect::Excel => column.heading(language),
            Dialect::Rfc4180 => column.name,
        });
        writer.write_record(headings).map_err(unwritten)?;
        Ok(Self {
            dialect,
            language,
            writer,
        })
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        let fields = cells.iter().map(|cell| match self.dialect {
            Dialect::Excel => for_excel(cell, self.language),
            Dialect::Rfc4180 => cell.code(),
        });
        self.writer.write_record(fields).map_err(unwritten)
    }

    fn end(mut self) -> Result<(), ExportError> {
        self.writer.flush().map_err(ExportError::write)
    }
}

/// What the file's place says, unwrapped: a caller may ask whether a reader has gone.
fn unwritten(error: ::csv::Error) -> ExportError {
    match error.into_kind() {
        ErrorKind::Io(error) => ExportError::write(error),
        other => ExportError::write(std::io::Error::other(format!("{other:?}"))),
    }
}

fn for_excel(cell: &Cell<'_>, language: Language) -> String {
    if let Some(word) = cell.word(language) {
        return word.to_owned();
    }
    match cell {
        Cell::Money(money) => money.to_string().replace('.', ","),
        Cell::Time(time, _) => words::clock(*time),
        Cell::Name(name) => kept(name),
        Cell::Id(_) | Cell::Number(_) | Cell::Empty | Cell::Operation(_) | Cell::Standing(_) => cell.code(),
    }
}

/// A name that Excel shows as it is. One that looks like a number or a date would lose leading zeros, digits beyond the
/// fifteenth or its very form, so it is told to be a text; one that looks like a formula is made a text by an apostrophe.
fn kept(name: &str) -> String {
    let is_text_anyway = |character: char| character.is_alphabetic() && !matches!(character, 'e' | 'E');
    if name.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{name}")
    } else if name.starts_with(|first: char| first.is_ascii_digit())
        && !name.contains(is_text_anyway)
        && !name.contains('"')
    {
        format!("=\"{name}\"")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn written(dialect: Dialect, language: Language) -> String {
        let mut out = Vec::new();
        let mut file = File::begin(dialect, language, &mut out).expect("begun");
        let register = Register::of(&[samples::question()]);
        for entry in samples::entries() {
            file.row(&register.cells(&entry)).expect("written");
        }
        file.end().expect("ended");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn excel_in_russian_opens_it_without_being_asked_anything() {
        let text = written(Dialect::Excel, Language::Ru);
        assert!(
            text.starts_with("\u{feff}Принят (время магазина);Магазин;Операция;"),
            "{text}"
        );
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines.len(),
            samples::entries().len() + 2,
            "a heading, and every line ended"
        );
        assert_eq!(
            lines[1],
            "22.11.2026 00:00:00;main;Продажа;\"=\"\"000000417\"\"\";;\"=\"\"100000123\"\"\";Пробит;1250,50;\
             \"=\"\"9960440301177245\"\"\";48213;2871940355;22.11.2026 00:00:07;412;37;invoice_main_000000417;6a0d3f3c;main;\
             01939e5a-0000-7000-8000-000000000001"
        );
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }

    #[test]
    fn a_program_reads_exact_words_numbers_and_times() {
        let text = written(Dialect::Rfc4180, Language::Ru);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let headings = reader.headers().expect("headings").clone();
        assert_eq!(headings.iter().collect::<Vec<_>>(), COLUMNS.map(|column| column.name));
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().expect("rows");
        assert_eq!(rows.len(), samples::entries().len());
        let first: Vec<&str> = rows[0].iter().take(8).collect();
        assert_eq!(
            first,
            [
                "2026-11-22T00:00:00+03:00",
                "main",
                "sell",
                "000000417",
                "",
                "100000123",
                "done",
                "1250.50"
            ]
        );
        assert_eq!(&rows[0][11], "2026-11-22T00:00:07", "a register's own time has no zone");
        assert_eq!(&rows[1][6], "rejected");
    }

    #[test]
    fn no_name_is_taken_for_a_formula_a_number_or_a_date() {
        for (name, kept_as) in [
            ("=1+1", "'=1+1"),
            ("+79001234567", "'+79001234567"),
            ("-5", "'-5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("00417", "=\"00417\""),
            ("1/2", "=\"1/2\""),
            ("2026-11", "=\"2026-11\""),
            ("1E5", "=\"1E5\""),
            ("12a", "12a"),
            ("S-417", "S-417"),
            ("", ""),
        ] {
            assert_eq!(kept(name), kept_as, "{name:?}");
        }
    }
}
