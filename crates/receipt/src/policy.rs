//! When a receipt is tried again: pure, so that every rule of it can be tested as a law.

use std::time::Duration;

use crate::class::{RetryClass, Seen};
use crate::state::Failure;

/// The longest wait that a vendor's `Retry-After` may ask for.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// When a retired id that the vendor had taken is asked about again, counted from the re-key: its first answer said that
/// it was dead, and vendors have been wrong.
pub const RETIRED_CHECKS: [Duration; 3] = [
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(86_400),
];
/// How soon a receipt is due that waits for the gate of its account and not for an interval: so soon that it is sent when
/// the gate opens, and not so soon that the same receipt is the next probe.
const BEHIND_A_GATE: Duration = Duration::from_secs(1);

/// Where the gate of the receipt's account stands when a try has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// The account is believed to work: a failed try counts.
    #[default]
    Open,
    /// The account does not work: a failed try says nothing about the receipt, and it waits for the gate.
    Closed,
}

/// Whether the vendor may hold the receipt under its present id although we have no answer that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Every earlier try of this id is known not to have registered anything.
    None,
    /// At least one earlier try of this id may have.
    Stands,
}

/// Retry settings of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Waits between tries; the last one repeats. Never empty.
    pub intervals: Vec<Duration>,
    /// Sends of one cycle, at least 1.
    pub max_trials: u32,
    /// The wait between two cycles.
    pub resume_after: Duration,
    /// Whether there is a next cycle at all.
    pub retry_endlessly: bool,
    /// The shortest wait after a try that the vendor may have seen.
    pub quiet_time: Duration,
    /// Where the account's gate stands now.
    pub gate: Gate,
}

/// What wakes a transaction after its wait. The table wakes everything; the broker is merely quicker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The wait is one of the configured intervals, so there is a delay exchange for it.
    DelayExchange,
    /// Only the due row itself.
    DueRow,
}

/// What happens to the transaction now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Same id, same bytes, later.
    Retry {
        /// The wait.
        delay: Duration,
        /// Sends of the current cycle from now on.
        trials: u32,
        /// What wakes it.
        wake: Wake,
    },
    /// Next id, later.
    Rekey {
        /// The wait.
        delay: Duration,
        /// Sends of the current cycle from now on.
        trials: u32,
        /// What wakes it.
        wake: Wake,
    },
    /// A person must act.
    Fail(Failure),
    /// The outcome is not known and no repetition may be made.
    Unknown,
}

impl Decision {
    /// The same decision if the vendor will still know the id when the wait is over, else [`Decision::Unknown`]: what may
    /// be forgotten by then would be registered a second time.
    ///
    /// `left` is how long the id is known to be recognised from now; `None` when no doubt stands.
    #[must_use]
    pub fn within(self, left: Option<Duration>) -> Self {
        match (self, left) {
            (Self::Retry { delay, .. } | Self::Rekey { delay, .. }, Some(left)) if delay >= left => Self::Unknown,
            (decision, _) => decision,
        }
    }
}

impl Default for RetryPolicy {
    /// What the module that kassa replaces had, resuming after a day.
    fn default() -> Self {
        Self {
            intervals: [60, 300, 900, 1800, 3600].map(Duration::from_secs).to_vec(),
            max_trials: 10,
            resume_after: Duration::from_secs(86_400),
            retry_endlessly: true,
            quiet_time: Duration::from_secs(10),
            gate: Gate::Open,
        }
    }
}

impl RetryPolicy {
    /// Decides after a try that did not succeed.
    ///
    /// `doubt` is what was known **before** this try, `trials` how many sends of the current cycle were counted
    /// before it. While a doubt stands a refusal proves nothing about the earlier try, so what would fail or be sent
    /// under another id becomes [`Decision::Unknown`].
    #[must_use]
    pub fn decide(&self, class: &RetryClass, doubt: Doubt, trials: u32) -> Decision {
        match (class, doubt) {
            (RetryClass::Unknown, Doubt::None | Doubt::Stands)
            | (RetryClass::Permanent | RetryClass::Rekey, Doubt::Stands) => Decision::Unknown,
            (RetryClass::Permanent, Doubt::None) => Decision::Fail(Failure::Rejected),
            (RetryClass::Halt { .. }, Doubt::None | Doubt::Stands) => Decision::Retry {
                delay: match self.gate {
                    Gate::Open => self.longest_interval(),
                    Gate::Closed => BEHIND_A_GATE,
                },
                trials,
                wake: Wake::DueRow,
            },
            (RetryClass::Retry { seen, after }, Doubt::None | Doubt::Stands) if self.gate == Gate::Closed => {
                Decision::Retry {
                    delay: BEHIND_A_GATE.max(self.quiet_after(*seen)).max(asked(*after)),
                    trials,
                    wake: Wake::DueRow,
                }
            }
            (RetryClass::Rekey, Doubt::None) => match self.next_try(trials, None, Seen::No) {
                Some((delay, trials, wake)) => Decision::Rekey { delay, trials, wake },
                None => Decision::Fail(Failure::Exhausted),
            },
            (
                RetryClass::Retry {
                    seen: Seen::Running,
                    after,
                },
                Doubt::None | Doubt::Stands,
            ) => {
                let interval = self.interval(trials);
                let delay = self.wait(interval, *after, Seen::Running);
                Decision::Retry {
                    delay,
                    trials,
                    wake: wake(delay, interval),
                }
            }
            (RetryClass::Retry { seen, after }, doubt) => match self.next_try(trials, *after, *seen) {
                Some((delay, trials, wake)) => Decision::Retry { delay, trials, wake },
                None if doubt == Doubt::Stands || *seen != Seen::No => Decision::Unknown,
                None => Decision::Fail(Failure::Exhausted),
            },
        }
    }

    fn next_try(&self, trials: u32, after: Option<Duration>, seen: Seen) -> Option<(Duration, u32, Wake)> {
        let spent = trials.saturating_add(1);
        let interval = self.interval(trials);
        let delay = self.wait(interval, after, seen);
        if spent >= self.max_trials {
            return self
                .retry_endlessly
                .then_some((delay.max(self.resume_after), 0, Wake::DueRow));
        }
        Some((delay, spent, wake(delay, interval)))
    }

    /// The interval, or longer if the vendor asks for it or has to be left in peace.
    fn wait(&self, interval: Duration, after: Option<Duration>, seen: Seen) -> Duration {
        interval.max(self.quiet_after(seen)).max(asked(after))
    }

    fn quiet_after(&self, seen: Seen) -> Duration {
        match seen {
            Seen::No => Duration::ZERO,
            Seen::Maybe | Seen::Running => self.quiet_time,
        }
    }

    fn interval(&self, trials: u32) -> Duration {
        let step = usize::try_from(trials).unwrap_or(usize::MAX);
        self.intervals
            .get(step)
            .copied()
            .unwrap_or_else(|| self.longest_interval())
    }

    fn longest_interval(&self) -> Duration {
        self.intervals.last().copied().unwrap_or(Duration::from_secs(60))
    }
}

fn wake(delay: Duration, interval: Duration) -> Wake {
    if delay == interval {
        Wake::DelayExchange
    } else {
        Wake::DueRow
    }
}

fn asked(after: Option<Duration>) -> Duration {
    after.unwrap_or_default().min(LONGEST_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::default()
    }

    #[test]
    fn waits_follow_the_intervals_and_the_last_one_repeats() {
        let waits: Vec<u64> = (0..9)
            .map(
                |trials| match policy().decide(&RetryClass::NOT_SEEN, Doubt::None, trials) {
                    Decision::Retry {
                        delay,
                        trials: spent,
                        wake: Wake::DelayExchange,
                    } => {
                        assert_eq!(spent, trials + 1);
                        delay.as_secs()
                    }
                    other => panic!("{other:?}"),
                },
            )
            .collect();
        assert_eq!(waits, [60, 300, 900, 1800, 3600, 3600, 3600, 3600, 3600]);
    }

    #[test]
    fn after_the_last_trial_the_counter_is_reset_and_sending_resumes_a_day_later() {
        assert_eq!(
            policy().decide(&RetryClass::MAYBE_SEEN, Doubt::Stands, 9),
            Decision::Retry {
                delay: Duration::from_secs(86_400),
                trials: 0,
                wake: Wake::DueRow
            }
        );
    }

    #[test]
    fn an_exhausted_receipt_that_may_have_been_seen_is_unknown_and_not_failed() {
        let policy = RetryPolicy {
            retry_endlessly: false,
            ..policy()
        };
        assert_eq!(
            policy.decide(&RetryClass::NOT_SEEN, Doubt::None, 9),
            Decision::Fail(Failure::Exhausted)
        );
        assert_eq!(
            policy.decide(&RetryClass::NOT_SEEN, Doubt::Stands, 9),
            Decision::Unknown
        );
        assert_eq!(
            policy.decide(&RetryClass::MAYBE_SEEN, Doubt::None, 9),
            Decision::Unknown
        );
    }

    #[test]
    fn a_refusal_proves_nothing_while_a_doubt_stands() {
        assert_eq!(
            policy().decide(&RetryClass::Permanent, Doubt::None, 0),
            Decision::Fail(Failure::Rejected)
        );
        assert_eq!(
            policy().decide(&RetryClass::Permanent, Doubt::Stands, 0),
            Decision::Unknown
        );
        assert_eq!(policy().decide(&RetryClass::Rekey, Doubt::Stands, 0), Decision::Unknown);
        assert!(matches!(
            policy().decide(&RetryClass::Rekey, Doubt::None, 0),
            Decision::Rekey { .. }
        ));
    }

    #[test]
    fn a_halt_spends_no_trial() {
        assert!(matches!(
            policy().decide(&RetryClass::Halt { certain: true }, Doubt::None, 9),
            Decision::Retry {
                trials: 9,
                wake: Wake::DueRow,
                ..
            }
        ));
    }

    #[test]
    fn our_own_call_that_is_still_running_spends_no_trial_and_never_exhausts() {
        let running = RetryClass::Retry {
            seen: Seen::Running,
            after: None,
        };
        let policy = RetryPolicy {
            retry_endlessly: false,
            ..policy()
        };
        for trials in [0, 3, 9, 10, 40] {
            assert_eq!(
                policy.decide(&running, Doubt::Stands, trials),
                Decision::Retry {
                    delay: policy.interval(trials),
                    trials,
                    wake: Wake::DelayExchange
                }
            );
        }
        assert!(running.leaves_doubt());
    }

    #[test]
    fn a_cycle_that_ends_when_the_vendor_may_have_forgotten_the_id_is_unknown_at_once() {
        let last = policy().decide(&RetryClass::MAYBE_SEEN, Doubt::Stands, 9);
        let fifty_minutes = Some(Duration::from_secs(50 * 60));
        assert_eq!(last.clone().within(fifty_minutes), Decision::Unknown);
        assert_eq!(last.clone().within(Some(Duration::from_secs(30 * 86_400))), last);
        assert_eq!(
            last.clone().within(None),
            last,
            "nobody saw it, so nobody can forget it"
        );
    }

    fn any_class() -> impl Strategy<Value = RetryClass> {
        prop_oneof![
            (
                prop_oneof![Just(Seen::No), Just(Seen::Maybe), Just(Seen::Running)],
                proptest::option::of(0_u64..100_000)
            )
                .prop_map(|(seen, after)| RetryClass::Retry {
                    seen,
                    after: after.map(Duration::from_secs),
                }),
            Just(RetryClass::Rekey),
            any::<bool>().prop_map(|certain| RetryClass::Halt { certain }),
            Just(RetryClass::Permanent),
            Just(RetryClass::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn a_doubtful_receipt_never_fails_and_never_gets_another_id(
            class in any_class(), trials in 0_u32..40, endless in any::<bool>()
        ) {
            let policy = RetryPolicy { retry_endlessly: endless, ..policy() };
            let decision = policy.decide(&class, Doubt::Stands, trials);
            let same_id_or_a_person = matches!(decision, Decision::Retry { .. } | Decision::Unknown);
            prop_assert!(same_id_or_a_person, "{:?}", decision);
        }

        #[test]
        fn behind_a_closed_gate_a_failure_of_the_account_spends_no_trial_and_waits_for_the_gate(
            class in any_class(), trials in 0_u32..40, doubt in prop_oneof![Just(Doubt::None), Just(Doubt::Stands)]
        ) {
            let closed = RetryPolicy { gate: Gate::Closed, ..policy() };
            let decision = closed.decide(&class, doubt, trials);
            match class {
                RetryClass::Retry { .. } | RetryClass::Halt { .. } => {
                    let Decision::Retry { delay, trials: spent, wake } = decision else {
                        return Err(TestCaseError::fail(format!("{decision:?}")));
                    };
                    prop_assert_eq!((spent, wake), (trials, Wake::DueRow));
                    if let RetryClass::Retry { seen, after } = class {
                        let asked = after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                        prop_assert!(delay >= asked && (seen == Seen::No || delay >= closed.quiet_time));
                        prop_assert!(delay <= asked.max(closed.quiet_time), "no interval is waited for");
                    } else {
                        prop_assert_eq!(delay, BEHIND_A_GATE);
                    }
                }
                // What the answer says about the receipt itself does not depend on the gate.
                RetryClass::Rekey | RetryClass::Permanent | RetryClass::Unknown => {
                    prop_assert_eq!(decision, policy().decide(&class, doubt, trials));
                }
            }
        }

        #[test]
        fn a_wait_never_undercuts_its_interval_nor_the_quiet_time(
            class in any_class(), trials in 0_u32..40, resume_after in 0_u64..100_000, max_trials in 1_u32..20
        ) {
            let policy =
                RetryPolicy { resume_after: Duration::from_secs(resume_after), max_trials, ..policy() };
            if let Decision::Retry { delay, .. } | Decision::Rekey { delay, .. } =
                policy.decide(&class, Doubt::None, trials)
            {
                if !matches!(class, RetryClass::Halt { .. }) {
                    prop_assert!(delay >= policy.interval(trials));
                }
                if class.leaves_doubt() {
                    prop_assert!(delay >= policy.quiet_time);
                }
            }
        }

        #[test]
        fn what_a_vendor_asks_for_is_kept_between_the_interval_and_an_hour(
            after in 0_u64..100_000, trials in 0_u32..9,
            seen in prop_oneof![Just(Seen::No), Just(Seen::Maybe), Just(Seen::Running)]
        ) {
            let class = RetryClass::Retry { seen, after: Some(Duration::from_secs(after)) };
            let Decision::Retry { delay, wake, .. } = policy().decide(&class, Doubt::None, trials) else {
                return Err(TestCaseError::fail("not tried again"));
            };
            let interval = policy().interval(trials);
            prop_assert!(delay >= interval && delay <= interval.max(LONGEST_RETRY_AFTER));
            prop_assert!(delay >= Duration::from_secs(after).min(LONGEST_RETRY_AFTER));
            prop_assert_eq!(wake == Wake::DelayExchange, delay == interval, "only intervals have an exchange");
        }

        #[test]
        fn no_wait_ends_when_the_vendor_may_have_forgotten_the_id(
            class in any_class(), trials in 0_u32..40, left in 0_u64..200_000, doubtful in any::<bool>()
        ) {
            let doubt = if doubtful { Doubt::Stands } else { Doubt::None };
            let left = Duration::from_secs(left);
            match policy().decide(&class, doubt, trials).within(Some(left)) {
                Decision::Retry { delay, .. } | Decision::Rekey { delay, .. } => prop_assert!(delay < left),
                Decision::Fail(_) | Decision::Unknown => {}
            }
        }

        #[test]
        fn only_a_failed_send_is_counted(class in any_class(), trials in 0_u32..9) {
            let decision = policy().decide(&class, Doubt::None, trials);
            if let Decision::Retry { trials: after, .. } | Decision::Rekey { trials: after, .. } = decision {
                let free = matches!(
                    class,
                    RetryClass::Halt { .. } | RetryClass::Retry { seen: Seen::Running, .. }
                );
                prop_assert_eq!(after, if free || trials == 9 { trials } else { trials + 1 });
            }
        }

        #[test]
        fn a_cycle_never_counts_more_sends_than_allowed(class in any_class(), trials in 0_u32..10) {
            if let Decision::Retry { trials: spent, .. } | Decision::Rekey { trials: spent, .. } =
                policy().decide(&class, Doubt::None, trials)
            {
                prop_assert!(spent < policy().max_trials);
            }
        }
    }
}
