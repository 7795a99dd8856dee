//! The last sheet: what needs a person, why, and what to do.

use rust_xlsxwriter::Worksheet;

use super::receipts::write as write_cell;
use super::sheet::{self, Looks};
use crate::export::ExportError;
use crate::language::Language;
use crate::register::Cell;
use crate::statistics::Statistics;
use crate::text::{code, in_language, said};
use crate::words::Standing;

/// Russian, English, and the width.
const COLUMNS: [(&str, &str, u8); 11] = [
    ("Принят (время магазина)", "Accepted (time of the store)", 20),
    ("Магазин", "Store", 12),
    ("Операция", "Operation", 16),
    ("Документ", "Document", 16),
    ("Заказ", "Order", 16),
    ("Состояние", "State", 24),
    ("Сумма, ₽", "Sum, ₽", 14),
    ("Код", "Code", 16),
    ("Причина", "Cause", 60),
    ("Что делать", "What to do", 60),
    ("Идентификатор", "Id", 38),
];

pub(super) fn write(sheet: &mut Worksheet, statistics: &[Statistics], language: Language) -> Result<(), ExportError> {
    let looks = Looks::new();
    sheet
        .set_name(language.choose("Требуют внимания", "Need attention"))
        .map_err(ExportError::write)?;
    sheet.set_freeze_panes(1, 0).map_err(ExportError::write)?;
    for (place, (ru, en, width)) in (0..).zip(COLUMNS) {
        sheet.set_column_width(place, width).map_err(ExportError::write)?;
        sheet::text(sheet, 0, place, language.choose(ru, en), Some(&looks.heading))?;
    }
    let mut row = 0;
    for one in statistics {
        for problem in &one.problems {
            row += 1;
            let zone = &one.period.zone;
            let cells = [
                Cell::Time(zone.to_datetime(problem.accepted_at), Some(zone.clone())),
                Cell::Name(&problem.store),
                Cell::Operation(problem.operation),
                Cell::Name(&problem.document),
                problem.order.as_deref().map_or(Cell::Empty, Cell::Name),
                Cell::Standing(Standing::from(problem)),
                Cell::Money(problem.total),
            ];
            for (place, cell) in (0..).zip(&cells) {
                write_cell(sheet, row, place, cell, &looks, language)?;
            }
            let cure = problem.cure.as_ref().map_or("", |cure| in_language(cure, language));
            let code = code(problem.kind.as_deref(), problem.code.as_deref());
            sheet::text(sheet, row, 7, &code, Some(&looks.text))?;
            sheet::text(
                sheet,
                row,
                8,
                &said(problem.cause.as_ref(), language),
                Some(&looks.wrapped),
            )?;
            sheet::text(sheet, row, 9, cure, Some(&looks.wrapped))?;
            sheet::text(sheet, row, 10, &problem.id.to_string(), None)?;
        }
    }
    let last = u16::try_from(COLUMNS.len() - 1).unwrap_or(u16::MAX);
    sheet.autofilter(0, 0, row, last).map_err(ExportError::write)?;
    let missing: u64 = statistics
        .iter()
        .map(|one| {
            one.problems_in_all
                .saturating_sub(one.problems.len().try_into().unwrap_or(0))
        })
        .sum();
    if missing > 0 {
        let remark = match language {
            Language::Ru => {
                format!("Показаны не все: ещё {missing}. Полный список: kassa list --state failed|unknown.")
            }
            Language::En => {
                format!("Not all are shown: {missing} more. The whole list: kassa list --state failed|unknown.")
            }
        };
        sheet::text(sheet, row + 2, 0, &remark, Some(&looks.total))?;
    }
    Ok(())
}
