//! Tables for people, tabs and JSON for machines.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::Output;

/// Prints rows in the asked form. `json` is what `--output json` prints.
pub(crate) fn print<T: Serialize>(
    output: Output,
    headings: &[&str],
    rows: Vec<Vec<String>>,
    json: &T,
) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| safe(cell)).collect())
        .collect();
    let written = match (output, terminal) {
        (Output::Json, _) => writeln!(stdout, "{}", safe_json(&serde_json::to_string_pretty(json)?)),
        (Output::Table, _) | (Output::Auto, true) => writeln!(stdout, "{}", table(headings, rows)),
        (Output::Plain, _) | (Output::Auto, false) => rows.into_iter().try_for_each(|row| {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace(['\t', '\n'], " ")).collect();
            writeln!(stdout, "{}", cells.join("\t"))
        }),
    };
    seen_enough(written)
}

/// A document as `--output json` prints it.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(format!("{}\n", safe_json(&serde_json::to_string_pretty(value)?)))
}

/// Rows as `--output plain` prints them.
pub(crate) fn plain(rows: &[Vec<String>]) -> String {
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().map(|cell| safe(cell).replace(['\t', '\n'], " ")).collect();
        format!("{}\n", cells.join("\t"))
    });
    lines.collect()
}

/// Prints what is no table.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    seen_enough(std::io::stdout().lock().write_all(bytes))
}

/// Says on stderr what may be done next; programs that read JSON are not told.
#[expect(clippy::print_stderr, reason = "a command tells its user on stderr")]
pub(crate) fn suggest(output: Output, next: &str) {
    if output != Output::Json {
        eprintln!("Next: {}", safe(next));
    }
}

/// Says to people, beside the result, what it leaves out; machines read it on stderr.
#[expect(clippy::print_stderr, reason = "beside the result of a command")]
pub(crate) fn note(what: &str) {
    eprintln!("note: {}", safe(what));
}

/// A pager that was closed has seen enough.
fn seen_enough(written: std::io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A table without rules between rows, so that it can be searched line by line.
fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().copied());
    table.add_rows(rows);
    table.trim_fmt()
}

/// Roubles for people.
pub(crate) fn roubles(kopecks: i64) -> String {
    receipt::Money::from_kopecks(kopecks).to_string()
}

/// A stranger's text as a terminal may show it: what would move the cursor, colour the screen or turn the direction of
/// reading is spelt out. Line breaks and tabs stay.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_unsafe(character) && !matches!(character, '\n' | '\t') {
                character.escape_unicode().to_string()
            } else {
                character.to_string()
            }
        })
        .collect()
}

/// The same document, with everything spelt as JSON spells it that a terminal might obey. Such characters stand in texts
/// only, where an escape means the same.
fn safe_json(document: &str) -> String {
    document
        .chars()
        .map(|character| {
            if is_unsafe(character) && character != '\n' {
                format!("\\u{:04x}", u32::from(character))
            } else {
                character.to_string()
            }
        })
        .collect()
}

/// Controls, among them the one-byte beginnings of terminal sequences (U+0080 to U+009F), and what hides or reorders
/// text.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_stranger_reaches_the_terminal_as_a_command() {
        let nasty = "a\u{1b}[2Jb\u{9b}31m\u{202e}c\rd\ne\tf";
        assert_eq!(safe(nasty), "a\\u{1b}[2Jb\\u{9b}31m\\u{202e}c\\u{d}d\ne\tf");
        let document = serde_json::to_string_pretty(&serde_json::json!({ "a": nasty })).expect("a document");
        let printed = safe_json(&document);
        assert!(!printed.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r']), "{printed}");
        let read: serde_json::Value = serde_json::from_str(&printed).expect("still a document");
        assert_eq!(read["a"], nasty);
    }
}
