//! What a person sees.

use comfy_table::{CellAlignment, Table, presets};

use crate::{MUCH, Report};

pub(crate) fn report(report: &Report) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "step".to_owned(),
        "calls".to_owned(),
        format!("blocks per call, {}", report.few),
        report.many.to_string(),
        "ratio".to_owned(),
        "ms, median".to_owned(),
        report.many.to_string(),
    ]);
    for step in &report.steps {
        table.add_row([
            step.step.to_owned(),
            step.calls.to_string(),
            format!("{:.1}", step.blocks_beside_few),
            format!("{:.1}", step.blocks_beside_many),
            format!("{:.2}", step.blocks_beside_many / step.blocks_beside_few),
            format!("{:.2}", step.ms_beside_few),
            format!("{:.2}", step.ms_beside_many),
        ]);
    }
    for column in 1..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "shown in whole tenths of gigabytes")]
    let gigabytes = report.database_bytes as f64 / 1e9;
    println!("{}\n", table.trim_fmt());
    println!(
        "{} finished receipts, {gigabytes:.1} GB: {}",
        report.many,
        if report.flat {
            format!("no step reads {MUCH} times what it reads beside {}", report.few)
        } else {
            format!(
                "a step reads a whole table, or more than {MUCH} times what it reads beside {}",
                report.few
            )
        }
    );
}
