//! The workbook, read by somebody else's library.

use std::io::Cursor;

use calamine::{Data, DataType, Range, Reader, Xlsx};

use super::*;
use crate::samples;

type Read = Xlsx<Cursor<Vec<u8>>>;

fn drafted(statistics: &[Statistics], language: Language, room: u32) -> Read {
    let mut draft = Draft::begin(language, room).expect("begun");
    let register = Register::of(&[samples::question()]);
    for entry in samples::entries() {
        draft
            .receipts
            .row(&mut draft.book, &register.cells(&entry))
            .expect("written");
    }
    let bytes = draft.end(statistics).expect("ended");
    calamine::open_workbook_from_rs(Cursor::new(bytes)).expect("a workbook")
}

fn sheet(read: &mut Read, name: &str) -> Range<Data> {
    read.worksheet_range(name).expect("the sheet")
}

/// The row whose first cell is `name`.
fn row_of<'a>(range: &'a Range<Data>, name: &str) -> &'a [Data] {
    range
        .rows()
        .find(|row| row[0].get_string() == Some(name))
        .unwrap_or_else(|| panic!("no row {name}"))
}

fn numbers(row: &[Data], from: usize) -> Vec<f64> {
    row[from..].iter().filter_map(DataType::as_f64).collect()
}

#[test]
fn the_sheets_stand_in_the_order_in_which_people_read_them() {
    let read = drafted(&[samples::statistics()], Language::Ru, receipts::ROOM);
    assert_eq!(read.sheet_names(), ["Итоги", "Чеки", "Требуют внимания"]);
    let read = drafted(&[samples::statistics()], Language::En, receipts::ROOM);
    assert_eq!(read.sheet_names(), ["Totals", "Receipts", "Need attention"]);
}

#[test]
fn formulas_carry_their_results_and_agree_with_the_receipts() {
    let mut read = drafted(&[samples::statistics()], Language::Ru, receipts::ROOM);
    let totals = sheet(&mut read, "Итоги");
    let total = row_of(&totals, "Всего");
    assert_eq!(numbers(total, 2), [2.0, 1700.5, 3.0, 3000.0, -1.0, -1299.5]);
    assert_eq!(numbers(row_of(&totals, "На листе «Чеки»"), 2), [2.0, 1700.5]);
    let formulas = read.worksheet_formula("Итоги").expect("formulas");
    let all: Vec<&str> = formulas
        .rows()
        .flatten()
        .map(String::as_str)
        .filter(|formula| !formula.is_empty())
        .collect();
    assert!(all.contains(&"SUM(D9:D10)"), "{all:?}");
    assert!(all.contains(&"SUM('Чеки'!H2:H3)"), "{all:?}");
}

#[test]
fn receipts_are_real_numbers_real_dates_and_exact_names() {
    let mut read = drafted(&[samples::statistics()], Language::Ru, receipts::ROOM);
    let receipts = sheet(&mut read, "Чеки");
    assert_eq!(receipts.height(), 3, "a heading and two receipts");
    let rows: Vec<&[Data]> = receipts.rows().collect();
    assert_eq!(rows[1][3].get_string(), Some("000000417"));
    assert_eq!(rows[1][7].get_float(), Some(1250.5));
    assert_eq!(rows[1][8].get_string(), Some("9960440301177245"));
    assert_eq!(rows[1][9].get_float(), Some(48_213.0));
    assert_eq!(rows[1][10].get_float(), Some(2_871_940_355.0));
    let time = |row: usize, column: usize| {
        let time = rows[row][column].get_datetime().expect("a real date");
        let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
        format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    };
    assert_eq!(time(1, 0), "2026-11-22 00:00:00", "in the store's zone");
    assert_eq!(time(1, 11), "2026-11-22 00:00:07");
    assert_eq!(time(2, 0), "2026-11-22 23:59:59", "not rounded into the next day");
    assert_eq!(rows[2][6].get_string(), Some("Отклонён: исправить"));
}

#[test]
fn problems_have_their_cause_and_cure() {
    let mut read = drafted(&[samples::statistics()], Language::En, receipts::ROOM);
    let problems = sheet(&mut read, "Need attention");
    let row = problems.rows().nth(1).expect("a problem");
    assert_eq!(row[7].get_string(), Some("system 32"));
    assert_eq!(row[8].get_string(), Some("The VAT rate is wrong."));
    assert_eq!(row[9].get_string(), Some("Correct the receipt and send it again."));
}

#[test]
fn a_sheet_that_cannot_hold_everything_says_so() {
    let mut read = drafted(&[samples::statistics()], Language::Ru, 1);
    assert_eq!(sheet(&mut read, "Чеки").height(), 2);
    let totals = sheet(&mut read, "Итоги");
    assert_eq!(numbers(row_of(&totals, "На листе «Чеки»"), 2), [1.0, 1250.5]);
    let remark = "Лист «Чеки» вмещает только первые 1 чеков из 2; все чеки есть в выгрузке CSV.";
    row_of(&totals, remark);
}

#[test]
fn several_stores_are_added_up_below_their_own_totals() {
    let mut read = drafted(
        &[samples::statistics(), samples::nothing()],
        Language::Ru,
        receipts::ROOM,
    );
    let totals = sheet(&mut read, "Итоги");
    assert_eq!(
        numbers(row_of(&totals, "Все магазины"), 2),
        [2.0, 1700.5, 3.0, 3000.0, -1.0, -1299.5]
    );
}

#[test]
fn a_period_without_receipts_is_a_workbook_too() {
    let draft = Draft::begin(Language::Ru, receipts::ROOM).expect("begun");
    let bytes = draft.end(&[samples::nothing()]).expect("ended");
    let mut read: Read = calamine::open_workbook_from_rs(Cursor::new(bytes)).expect("a workbook");
    assert_eq!(sheet(&mut read, "Чеки").height(), 1);
    assert_eq!(numbers(row_of(&sheet(&mut read, "Итоги"), "Всего"), 2), [0.0; 6]);
}
