//! Which letters a command means.

use clap::{Args, ValueEnum};
use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp};
use ledger::{LetterFilter, Origin};
use receipt::intake::moscow;

use crate::exit::Failure;

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only those refused for this reason: invalid, conflict, `unknown_store`, …
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only messages with this store's code as their routing key.
    #[arg(long)]
    store: Option<String>,
    /// Only those that came this way.
    #[arg(long, value_enum)]
    origin: Option<Way>,
    /// Only those that came, the last time, at or after this: 2026-11-23, 2026-11-23T10:00 (Moscow), or 2h for "two
    /// hours ago".
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only those that came, the last time, before this.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only this document number.
    #[arg(long, value_name = "NUMBER")]
    document: Option<String>,
    /// Only bodies with this text in them.
    #[arg(long)]
    text: Option<String>,
}

/// Which way a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Refused by the accept loop.
    Intake,
    /// Dead-lettered by the broker itself.
    Broker,
}

impl Way {
    const fn origin(self) -> Origin {
        match self {
            Self::Intake => Origin::Intake,
            Self::Broker => Origin::Broker,
        }
    }
}

impl FilterArgs {
    /// The filter of a list.
    pub(super) fn of_list(&self) -> LetterFilter {
        LetterFilter {
            ids: None,
            reason: self.reason.clone(),
            store: self.store.clone(),
            origin: self.origin.map(|way| way.origin().name().to_owned()),
            since: self.since,
            until: self.until,
            document: self.document.clone(),
            text: self.text.clone(),
            with_replayed: false,
        }
    }

    /// The filter of something that changes letters: it has to be told which.
    pub(super) fn of_action(&self, ids: &[String], all: bool) -> Result<LetterFilter, Failure> {
        let filter = self.of_list();
        let narrows = [
            filter.reason.is_some(),
            filter.store.is_some(),
            filter.origin.is_some(),
            filter.since.is_some(),
            filter.until.is_some(),
            filter.document.is_some(),
            filter.text.is_some(),
        ];
        if ids.is_empty() && !all && !narrows.contains(&true) {
            return Err(Failure::Usage(
                "say which: ids, a filter such as --reason or --store, or --all".to_owned(),
            ));
        }
        Ok(LetterFilter {
            // Whoever names a letter means it, replayed or not.
            with_replayed: !ids.is_empty(),
            ids: (!ids.is_empty()).then(|| ids.to_vec()),
            ..filter
        })
    }
}

/// A time as people write it: with a zone, in Moscow, or so long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    let rule = "not a time; write 2026-11-23, 2026-11-23T10:00, 2026-11-23T10:00:00Z, or 2h for \"two hours ago\"";
    // Nothing came before 1970, and what jiff reads of times long before Postgres cannot store.
    read(text, rule).map(|time| time.max(Timestamp::UNIX_EPOCH))
}

fn read(text: &str, rule: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)));
    if let Some(civil) = civil {
        let zoned = civil.to_zoned(moscow()).map_err(|_| rule.to_owned())?;
        return Ok(zoned.timestamp());
    }
    let span: Span = text.parse().map_err(|_| rule.to_owned())?;
    let now = Timestamp::now().to_zoned(moscow());
    let then = now.checked_sub(span.abs()).map_err(|_| rule.to_owned())?;
    Ok(then.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_understood_as_people_write_it() {
        let at = |text: &str| moment(text).expect("a time").to_string();
        assert_eq!(at("2026-11-23"), "2026-11-22T21:00:00Z");
        assert_eq!(at("2026-11-23T10:00"), "2026-11-23T07:00:00Z");
        assert_eq!(at("2026-11-23T10:00:00Z"), "2026-11-23T10:00:00Z");
        let ago = |text: &str| Timestamp::now().duration_since(moment(text).expect("a time")).as_secs();
        assert!((7190..7260).contains(&ago("2h")));
        assert!((86_000..87_000).contains(&ago("1d")));
        assert_eq!(at("-005000-01-01T00:00:00Z"), at("1970-01-01T00:00:00Z"));
        for wrong in ["", "soon", "2026-13-01"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
