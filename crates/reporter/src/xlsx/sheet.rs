//! What all sheets have in common.

use receipt::Money;
use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Worksheet};

use crate::export::ExportError;

/// The looks of the cells.
pub(super) struct Looks {
    pub(super) heading: Format,
    pub(super) title: Format,
    pub(super) number: Format,
    pub(super) money: Format,
    pub(super) time: Format,
    pub(super) text: Format,
    pub(super) wrapped: Format,
    pub(super) total: Format,
    pub(super) total_number: Format,
    pub(super) total_money: Format,
}

const NUMBER: &str = "#,##0";
const MONEY: &str = "#,##0.00";

impl Looks {
    pub(super) fn new() -> Self {
        let total = Format::new().set_bold().set_border_top(FormatBorder::Thin);
        Self {
            heading: Format::new()
                .set_bold()
                .set_text_wrap()
                .set_align(FormatAlign::Top)
                .set_border_bottom(FormatBorder::Thin),
            title: Format::new().set_bold().set_font_size(14),
            number: Format::new().set_num_format(NUMBER),
            money: Format::new().set_num_format(MONEY),
            time: Format::new().set_num_format("dd.mm.yyyy hh:mm:ss"),
            // Spreadsheets leave a cell that is text alone, whatever it looks like.
            text: Format::new().set_num_format("@"),
            wrapped: Format::new().set_text_wrap().set_align(FormatAlign::Top),
            total_number: total.clone().set_num_format(NUMBER),
            total_money: total.clone().set_num_format(MONEY),
            total,
        }
    }
}

/// A cell of a spreadsheet holds no more.
const LONGEST_TEXT: usize = 32_767;

pub(super) fn text(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    text: &str,
    look: Option<&Format>,
) -> Result<(), ExportError> {
    // A spreadsheet counts UTF-16.
    let mut room = LONGEST_TEXT;
    let fits = text.chars().take_while(|character| {
        let fits = room >= character.len_utf16();
        room = room.saturating_sub(character.len_utf16());
        fits
    });
    let text: String = fits.collect();
    match look {
        Some(look) => sheet.write_string_with_format(row, column, text, look),
        None => sheet.write_string(row, column, text),
    }
    .map(|_| ())
    .map_err(ExportError::write)
}

pub(super) fn number(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    number: i64,
    look: Option<&Format>,
) -> Result<(), ExportError> {
    match look {
        Some(look) => sheet.write_number_with_format(row, column, nearest(&number.to_string()), look),
        None => sheet.write_number(row, column, nearest(&number.to_string())),
    }
    .map(|_| ())
    .map_err(ExportError::write)
}

pub(super) fn money(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    money: Money,
    look: &Format,
) -> Result<(), ExportError> {
    sheet
        .write_number_with_format(row, column, nearest(&money.to_string()), look)
        .map(|_| ())
        .map_err(ExportError::write)
}

/// The number that a spreadsheet has for a decimal: it knows no other kind, and shows up to fifteen digits of it exactly.
fn nearest(decimal: &str) -> f64 {
    decimal.parse().expect("digits and a point are a number")
}
