//! The first sheet: counts and sums by store, operation and state, beside those of the period before.

use std::collections::BTreeMap;

use receipt::{Money, Operation};
use rust_xlsxwriter::{Formula, Worksheet};

use super::receipts::Receipts;
use super::sheet::{self, Looks};
use crate::export::ExportError;
use crate::language::Language;
use crate::register::SUM;
use crate::statistics::{Statistics, Total};
use crate::text::verdict;
use crate::words::{self, Standing};

/// Where the numbers stand: those of the period, those of the period before, the change.
const COUNT: u16 = 2;
const MONEY: u16 = 3;
const COUNT_BEFORE: u16 = 4;
const MONEY_BEFORE: u16 = 5;
const COUNT_CHANGE: u16 = 6;
const MONEY_CHANGE: u16 = 7;

/// Where the next row goes.
struct Cursor<'a> {
    sheet: &'a mut Worksheet,
    looks: &'a Looks,
    language: Language,
    row: u32,
}

pub(super) fn write(
    sheet: &mut Worksheet,
    statistics: &[Statistics],
    receipts: &Receipts,
    language: Language,
) -> Result<(), ExportError> {
    sheet
        .set_name(language.choose("Итоги", "Totals"))
        .map_err(ExportError::write)?;
    for (column, width) in (0_u16..).zip([22, 26, 10, 18, 10, 18, 11, 18]) {
        sheet.set_column_width(column, width).map_err(ExportError::write)?;
    }
    let looks = Looks::new();
    let mut cursor = Cursor {
        sheet,
        looks: &looks,
        language,
        row: 0,
    };
    let mut total_rows = Vec::new();
    for one in statistics {
        total_rows.push(cursor.store(one)?);
        cursor.row += 1;
    }
    if statistics.len() > 1 {
        let (total, before) = (
            added(statistics.iter().map(|one| one.total)),
            added(statistics.iter().map(|one| one.total_before)),
        );
        let sum_of = |column: char| {
            let cells: Vec<String> = total_rows.iter().map(|row| format!("{column}{}", row + 1)).collect();
            format!("={}", cells.join("+"))
        };
        cursor.total(language.choose("Все магазины", "All stores"), sum_of, total, before)?;
        cursor.row += 1;
    }
    cursor.check(receipts)
}

fn added(totals: impl Iterator<Item = Total>) -> Total {
    totals.fold(Total::default(), |all, one| Total {
        count: all.count + one.count,
        sum: [all.sum, one.sum].into_iter().sum(),
    })
}

impl Cursor<'_> {
    /// The block of one store. Returns the row of its total.
    fn store(&mut self, statistics: &Statistics) -> Result<u32, ExportError> {
        let language = self.language;
        let title = format!(
            "{}: {} · {}",
            language.choose("Чеки", "Receipts"),
            statistics.store,
            words::period(&statistics.period, language)
        );
        let looks = self.looks;
        sheet::text(self.sheet, self.row, 0, &title, Some(&looks.title))?;
        let before = &statistics.period.before;
        let made_at = statistics.made_at.to_zoned(statistics.period.zone.clone());
        for (name, value) in [
            (
                language.choose("Приняты", "Accepted"),
                words::exactly(&statistics.period, language),
            ),
            (
                language.choose("Период до", "Period before"),
                format!(
                    "{} – {}",
                    words::time(&before.from, language),
                    words::time(&before.until, language)
                ),
            ),
            (
                language.choose("Состояние на", "As of"),
                words::time(&made_at, language),
            ),
            (
                language.choose("Вывод", "Verdict"),
                verdict(&statistics.verdict, language),
            ),
            (
                language.choose("Сейчас в пути", "On their way now"),
                self.open(statistics),
            ),
        ] {
            self.row += 1;
            sheet::text(self.sheet, self.row, 0, name, None)?;
            sheet::text(self.sheet, self.row, 1, &value, None)?;
        }
        self.row += 2;
        for (column, heading) in (0..).zip(headings(language)) {
            sheet::text(self.sheet, self.row, column, heading, Some(&looks.heading))?;
        }
        self.row += 1;
        let first = self.row;
        for ((operation, standing), (now, before)) in beside_each_other(statistics) {
            sheet::text(self.sheet, self.row, 0, words::operation(operation, language), None)?;
            sheet::text(self.sheet, self.row, 1, standing.word(language), None)?;
            self.numbers(now, before)?;
            self.row += 1;
        }
        if self.row == first {
            // A sum needs something to add up.
            self.numbers(Total::default(), Total::default())?;
            self.row += 1;
        }
        let last = self.row;
        let total_row = self.row;
        let sum_of = |column: char| format!("=SUM({column}{}:{column}{last})", first + 1);
        self.total(
            language.choose("Всего", "Total"),
            sum_of,
            statistics.total,
            statistics.total_before,
        )?;
        Ok(total_row)
    }

    fn open(&self, statistics: &Statistics) -> String {
        let open = &statistics.open;
        let told = format!(
            "{}, {}",
            words::receipts(open.count, self.language),
            words::money(open.total, self.language)
        );
        match statistics.oldest_age() {
            Some(age) => format!(
                "{told}, {} {}",
                self.language.choose("дольше всех", "the oldest for"),
                words::age(age, self.language)
            ),
            None => told,
        }
    }

    /// The numbers of a row; the change is reckoned by the spreadsheet, and its result stands there already.
    fn numbers(&mut self, now: Total, before: Total) -> Result<(), ExportError> {
        let (looks, row) = (self.looks, self.row);
        for (column, total) in [(COUNT, now), (COUNT_BEFORE, before)] {
            sheet::number(self.sheet, row, column, signed(total.count), Some(&looks.number))?;
        }
        for (column, total) in [(MONEY, now), (MONEY_BEFORE, before)] {
            sheet::money(self.sheet, row, column, total.sum, &looks.money)?;
        }
        self.changes(now, before, &looks.number, &looks.money)
    }

    fn changes(
        &mut self,
        now: Total,
        before: Total,
        number: &rust_xlsxwriter::Format,
        money: &rust_xlsxwriter::Format,
    ) -> Result<(), ExportError> {
        let line = self.row + 1;
        let count = signed(now.count) - signed(before.count);
        let sum = Money::from_kopecks(now.sum.kopecks() - before.sum.kopecks());
        self.formula(COUNT_CHANGE, format!("=C{line}-E{line}"), &count.to_string(), number)?;
        self.formula(MONEY_CHANGE, format!("=D{line}-F{line}"), &sum.to_string(), money)
    }

    fn total(
        &mut self,
        name: &str,
        sum_of: impl Fn(char) -> String,
        now: Total,
        before: Total,
    ) -> Result<(), ExportError> {
        let looks = self.looks;
        sheet::text(self.sheet, self.row, 0, name, Some(&looks.total))?;
        sheet::text(self.sheet, self.row, 1, "", Some(&looks.total))?;
        let (number, money) = (&looks.total_number, &looks.total_money);
        self.formula(COUNT, sum_of('C'), &now.count.to_string(), number)?;
        self.formula(MONEY, sum_of('D'), &now.sum.to_string(), money)?;
        self.formula(COUNT_BEFORE, sum_of('E'), &before.count.to_string(), number)?;
        self.formula(MONEY_BEFORE, sum_of('F'), &before.sum.to_string(), money)?;
        self.changes(now, before, number, money)?;
        self.row += 1;
        Ok(())
    }

    /// The same from the other sheet, so that a reader sees that nothing is missing there.
    fn check(&mut self, receipts: &Receipts) -> Result<(), ExportError> {
        let (looks, language) = (self.looks, self.language);
        let name = Receipts::name(language);
        let last = receipts.rows.max(1) + 1;
        let column = char::from(b'A' + u8::try_from(SUM).unwrap_or(0));
        let heading = format!("{} «{name}»", language.choose("На листе", "On the sheet"));
        sheet::text(self.sheet, self.row, 0, &heading, None)?;
        let range = format!("'{name}'!{column}2:{column}{last}");
        let sum = Money::from_kopecks(receipts.kopecks).to_string();
        self.formula(
            COUNT,
            format!("=COUNT({range})"),
            &receipts.rows.to_string(),
            &looks.number,
        )?;
        self.formula(MONEY, format!("=SUM({range})"), &sum, &looks.money)?;
        self.row += 1;
        if let Some(remark) = receipts.remark() {
            sheet::text(self.sheet, self.row, 0, &remark, Some(&looks.total))?;
        }
        Ok(())
    }

    /// A formula with what it comes to, for readers that do not reckon.
    fn formula(
        &mut self,
        column: u16,
        formula: String,
        result: &str,
        look: &rust_xlsxwriter::Format,
    ) -> Result<(), ExportError> {
        let formula = Formula::new(formula).set_result(result);
        self.sheet
            .write_formula_with_format(self.row, column, formula, look)
            .map(|_| ())
            .map_err(ExportError::write)
    }
}

fn headings(language: Language) -> [&'static str; 8] {
    match language {
        Language::Ru => [
            "Операция",
            "Состояние",
            "Чеков",
            "Сумма, ₽",
            "Чеков до",
            "Сумма до, ₽",
            "Изменение, чеков",
            "Изменение, ₽",
        ],
        Language::En => [
            "Operation",
            "State",
            "Receipts",
            "Sum, ₽",
            "Receipts before",
            "Sum before, ₽",
            "Change, receipts",
            "Change, ₽",
        ],
    }
}

/// Every operation and state that there is in one of the two periods.
fn beside_each_other(statistics: &Statistics) -> BTreeMap<(Operation, Standing), (Total, Total)> {
    let mut rows = BTreeMap::<_, (Total, Total)>::new();
    for tally in &statistics.figures {
        rows.entry((tally.operation, Standing::from(tally))).or_default().0 = Total::of([tally]);
    }
    for tally in &statistics.before {
        rows.entry((tally.operation, Standing::from(tally))).or_default().1 = Total::of([tally]);
    }
    rows
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
