//! `kassa dead show`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ledger::{DeadLetter, LetterFilter};
use serde_json::{Value, json};

use super::matching;
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

/// What of a long body a person is shown.
const SHOWN_BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Our id of the letter, or the message's id.
    id: String,
    /// Print the body alone, byte by byte: to be corrected in a file and replayed with --file.
    #[arg(long, conflicts_with = "output")]
    body: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(file: Option<PathBuf>, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = crate::commands::open(file)?;
    let filter = LetterFilter {
        ids: Some(vec![args.id.clone()]),
        with_replayed: true,
        ..LetterFilter::default()
    };
    let ids = matching(&ledger, &filter).await?.ids;
    let [id] = ids.as_slice() else {
        let lines: String = ids.iter().map(|id| format!("\n  {id}")).collect();
        let id = &args.id;
        return Err(Failure::Usage(format!("{id:?} means several letters; name one by our id:{lines}")).into());
    };
    let letter = ledger.letter(*id).await.map_err(|error| exit::ledger(&error))?;
    let letter = letter.ok_or_else(|| Failure::NotFound(format!("the dead letter {id} was dropped meanwhile")))?;
    if args.body {
        if std::io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "the bytes of a stranger do not go to a terminal; send them into a file".to_owned(),
            )
            .into());
        }
        output::print_bytes(&letter.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.output {
        Output::Json => output::print(args.output, &[], Vec::new(), &document(&letter))?,
        Output::Auto | Output::Table | Output::Plain => output::print_bytes(text(&letter)?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn document(letter: &DeadLetter) -> Value {
    let text = std::str::from_utf8(&letter.body).ok();
    let mut document = json!({
        "id": letter.id,
        "origin": letter.origin,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "message_id": letter.message_id,
        "properties": letter.headers,
        "reason_code": letter.reason_code,
        "reason": letter.reason,
        "times": letter.times,
        "first_seen": letter.first_seen,
        "last_seen": letter.last_seen,
        "replayed_at": letter.replayed_at,
        "transaction_id": letter.transaction_id,
        "body": text,
    });
    if text.is_none() {
        let hex: String = letter.body.iter().map(|byte| format!("{byte:02x}")).collect();
        document["body_hex"] = json!(hex);
    }
    document
}

fn text(letter: &DeadLetter) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let facts = [
        ("id", letter.id.to_string()),
        ("came", came(letter)),
        ("by", format!("{}, exchange {}", letter.origin, letter.exchange)),
        ("routing key", letter.routing_key.clone()),
        ("message id", letter.message_id.clone().unwrap_or_default()),
        ("replayed", replayed(letter)),
        ("reason", letter.reason_code.clone()),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        writeln!(text, "{name:<12} {}", output::safe(fact))?;
    }
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(output::safe);
    for detail in ["detail", "detail_ru"]
        .iter()
        .filter_map(|key| word(&letter.reason, key))
    {
        writeln!(text, "             {detail}")?;
    }
    let faults = letter.reason.get("errors").and_then(Value::as_array);
    for fault in faults.into_iter().flatten() {
        let place = word(fault, "pointer").filter(|pointer| !pointer.is_empty());
        let (code, message) = (word(fault, "code"), fault.get("message").cloned().unwrap_or_default());
        writeln!(
            text,
            "\n{} [{}]",
            place.as_deref().unwrap_or("the whole request"),
            code.as_deref().unwrap_or("?")
        )?;
        for sentence in ["en", "ru"].iter().filter_map(|language| word(&message, language)) {
            writeln!(text, "    {sentence}")?;
        }
    }
    writeln!(text, "\nproperties and headers")?;
    let properties = serde_json::to_string_pretty(&letter.headers).unwrap_or_default();
    for line in properties.lines() {
        writeln!(text, "    {}", output::safe(line))?;
    }
    writeln!(text, "\nbody, {} bytes", letter.body.len())?;
    text.push_str(&body(&letter.body));
    Ok(text)
}

fn came(letter: &DeadLetter) -> String {
    match letter.times {
        1 => letter.last_seen.to_string(),
        times => format!("{times} times, from {} to {}", letter.first_seen, letter.last_seen),
    }
}

fn replayed(letter: &DeadLetter) -> String {
    match (letter.replayed_at, letter.transaction_id) {
        (Some(time), Some(id)) => format!("{time} as transaction {id}"),
        (Some(_) | None, _) => String::new(),
    }
}

/// The body as text when it is text, else as hexadecimal digits with what can be read of them beside.
fn body(bytes: &[u8]) -> String {
    let mut shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    // A cut may go through the middle of a character.
    if let Err(error) = std::str::from_utf8(shown)
        && error.error_len().is_none()
        && bytes.len() > SHOWN_BYTES
    {
        shown = &shown[..error.valid_up_to()];
    }
    let mut text = match std::str::from_utf8(shown) {
        Ok(readable) => readable
            .lines()
            .map(|line| format!("    {}\n", output::safe(line)))
            .collect(),
        Err(_) => hex(shown),
    };
    let rest = bytes.len() - shown.len();
    if rest > 0 {
        text.push_str(&format!("    … and {rest} bytes more: --body gives them all\n"));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .enumerate()
        .map(|(row, chunk)| {
            let digits: String = chunk.iter().map(|byte| format!("{byte:02x} ")).collect();
            let readable: String = chunk
                .iter()
                .map(|&byte| match byte {
                    b' '..=b'~' => char::from(byte),
                    _ => '.',
                })
                .collect();
            format!("    {:06x}  {digits:<48} {readable}\n", row * 16)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_text_or_as_digits_and_never_as_commands_to_the_terminal() {
        assert_eq!(body(b"{\"a\": 1}\n"), "    {\"a\": 1}\n");
        assert_eq!(body("ч\u{1b}[2J".as_bytes()), "    ч\\u{1b}[2J\n");
        let digits = body(b"\xff\xfe\x1b[2J");
        assert!(
            digits.contains("ff fe 1b 5b 32 4a") && digits.contains("...[2J"),
            "{digits}"
        );
        assert!(!digits.contains('\u{1b}'));
        assert_eq!(body(b""), "");
    }

    #[test]
    fn a_long_body_is_cut_between_two_characters() {
        let long = "ч".repeat(SHOWN_BYTES);
        let shown = body(format!("x{long}").as_bytes());
        assert!(shown.starts_with("    xчч"), "{}", &shown[..20]);
        assert!(shown.contains("bytes more"));
    }
}
