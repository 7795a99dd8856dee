//! The faults in force: which rule acts on which request.

use serde::Serialize;

use crate::checkonline;
use crate::faults::{Action, Faults, Point, Rule, When};

/// Why a set of faults was refused; nothing of it was put in force.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidFaults {
    /// Not a share.
    #[error("rules[{0}]: probability must be between 0 and 1")]
    Probability(usize),
    /// No final HTTP status.
    #[error("rules[{0}]: {1} is no HTTP status between 200 and 599")]
    Status(usize, u16),
    /// The register can only be slow or fail.
    #[error(
        "rules[{0}]: at processing only \"nothing\" and \"error\" are possible, and after only with \"vendor\": \"checkonline\""
    )]
    Processing(usize),
    /// The span is upside down.
    #[error("processing_ms: the first number must not be above the second")]
    ProcessingTime,
}

/// What a rule may look at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    /// Who was asked.
    pub(crate) vendor: &'static str,
    pub(crate) marker: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) group: Option<&'a str>,
}

impl Subject<'_> {
    /// A request of which only the vendor is known.
    pub(crate) fn of(vendor: &'static str) -> Self {
        Self {
            vendor,
            ..Self::default()
        }
    }
}

/// The faults in force and how often each rule has acted.
#[derive(Debug, Default)]
pub(crate) struct FaultBoard {
    faults: Faults,
    hits: Vec<u64>,
}

/// The faults in force, as `GET /control/faults` shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultsInForce {
    /// What was set.
    #[serde(flatten)]
    pub faults: Faults,
    /// How often each rule has acted, in the order of the rules.
    pub hits: Vec<u64>,
}

impl FaultBoard {
    pub(crate) fn set(&mut self, faults: Faults) -> Result<(), InvalidFaults> {
        check(&faults)?;
        self.hits = vec![0; faults.rules.len()];
        self.faults = faults;
        Ok(())
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn in_force(&self) -> FaultsInForce {
        FaultsInForce {
            faults: self.faults.clone(),
            hits: self.hits.clone(),
        }
    }

    /// Whether the receipt must be known before a rule can be chosen. Otherwise the request need not even be read.
    pub(crate) fn asks_for_subject(&self, at: Point) -> bool {
        self.faults.rules.iter().any(|rule| rule.at == at && rule.has_matcher())
    }

    /// The rule that acts on this request, and one of its count is used up.
    pub(crate) fn take(&mut self, at: Point, subject: Subject<'_>, random: &mut fastrand::Rng) -> Option<Rule> {
        for (rule, hits) in self.faults.rules.iter().zip(&mut self.hits) {
            let left = rule.count.is_none_or(|count| *hits < count);
            if rule.at == at && left && rule.matches(&subject) && random.f64() < rule.probability {
                *hits += 1;
                return Some(rule.clone());
            }
        }
        None
    }
}

fn check(faults: &Faults) -> Result<(), InvalidFaults> {
    for (index, rule) in faults.rules.iter().enumerate() {
        if !(0.0..=1.0).contains(&rule.probability) {
            return Err(InvalidFaults::Probability(index));
        }
        let status = match &rule.action {
            Action::Status { code, .. } => Some(*code),
            Action::Error(error) => error.http,
            Action::Nothing | Action::Cut | Action::Garbage(_) => None,
        };
        if let Some(status) = status.filter(|status| !(200..600).contains(status)) {
            return Err(InvalidFaults::Status(index, status));
        }
        // A register of the synchronous vendor can fail after it has closed a document, and tells the client so itself.
        let afterwards = rule.when == When::After && rule.vendor.as_deref() != Some(checkonline::NAME);
        let of_a_register = matches!(rule.action, Action::Nothing | Action::Error(_)) && !afterwards;
        if rule.at == Point::Processing && !of_a_register {
            return Err(InvalidFaults::Processing(index));
        }
    }
    match faults.processing_ms {
        Some([least, most]) if least > most => Err(InvalidFaults::ProcessingTime),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Garbage;

    fn board(rules: Vec<Rule>) -> FaultBoard {
        let mut board = FaultBoard::default();
        board
            .set(Faults {
                rules,
                ..Faults::default()
            })
            .expect("valid rules");
        board
    }

    #[test]
    fn the_first_matching_rule_acts_and_its_count_runs_out() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut board = board(vec![
            Rule::new(Point::Register, Action::Cut).times(2).for_marker("mug"),
            Rule::new(Point::Register, Action::Garbage(Garbage::Html)),
        ]);
        let mug = Subject {
            vendor: "atol",
            marker: Some("red mug"),
            ..Subject::default()
        };
        let actions: Vec<_> = (0..3)
            .map(|_| board.take(Point::Register, mug, &mut random).map(|r| r.action))
            .collect();
        assert_eq!(
            actions,
            [
                Some(Action::Cut),
                Some(Action::Cut),
                Some(Action::Garbage(Garbage::Html))
            ],
        );
        assert!(board.take(Point::Report, mug, &mut random).is_none());
        assert_eq!(board.in_force().hits, [2, 1]);
    }

    #[test]
    fn a_rule_with_a_matcher_never_acts_on_a_request_without_a_receipt() {
        let mut board = board(vec![Rule::new(Point::GetToken, Action::Cut).for_external_id("a")]);
        assert!(
            board
                .take(Point::GetToken, Subject::default(), &mut fastrand::Rng::with_seed(1))
                .is_none()
        );
    }

    #[test]
    fn a_rule_for_a_group_leaves_the_others_alone() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut board = board(vec![Rule::new(Point::Report, Action::Cut).for_group("one")]);
        let of = |group| Subject {
            group: Some(group),
            ..Subject::default()
        };
        assert!(!board.asks_for_subject(Point::Report), "the receipt need not be known");
        assert!(board.take(Point::Report, of("one"), &mut random).is_some());
        assert!(board.take(Point::Report, of("one-more"), &mut random).is_none());
        assert!(board.take(Point::Report, Subject::default(), &mut random).is_none());
    }

    #[test]
    fn faults_that_make_no_sense_are_refused_whole() {
        let mut board = FaultBoard::default();
        for (rule, expected) in [
            (
                Rule::new(Point::Report, Action::Cut).with_probability(1.5),
                InvalidFaults::Probability(0),
            ),
            (
                Rule::new(
                    Point::Report,
                    Action::Status {
                        code: 99,
                        retry_after: None,
                    },
                ),
                InvalidFaults::Status(0, 99),
            ),
            (Rule::new(Point::Processing, Action::Cut), InvalidFaults::Processing(0)),
        ] {
            assert_eq!(
                board.set(Faults {
                    rules: vec![rule],
                    ..Faults::default()
                }),
                Err(expected)
            );
        }
        assert_eq!(board.faults(), &Faults::default());
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(serde_json::from_str::<Faults>(r#"{"rulez": []}"#).is_err());
        assert!(serde_json::from_str::<Faults>(r#"{"rules": [{"at": "report", "dо": "cut"}]}"#).is_err());
    }
}
