//! From what a server said to what becomes of a mail. Pure.

use std::time::Duration;

use ledger::{MOST_SENDS, Mail, MailVerdict};

use crate::config::MailConfig;
use crate::mail::Handed;

/// What follows a try. What the server certainly did not take may be tried for days; what it may have taken is tried
/// again, for two copies are better than none, but not for ever.
#[must_use]
pub(crate) fn decide(handed: &Handed, mail: &Mail, config: &MailConfig) -> MailVerdict {
    match handed {
        Handed::Taken => MailVerdict::Sent,
        Handed::NotTaken(_) if mail.age >= config.give_up_after => MailVerdict::Refused,
        Handed::NotTaken(_) => MailVerdict::NotTaken {
            delay: wait(config, mail.failures),
        },
        Handed::InDoubt(_) if mail.sends >= MOST_SENDS => MailVerdict::Unconfirmed,
        Handed::InDoubt(_) => MailVerdict::InDoubt {
            delay: wait(config, mail.sends.saturating_sub(1)),
        },
    }
}

/// The wait after so many tries.
fn wait(config: &MailConfig, tries: u32) -> Duration {
    let waits = &config.retry_intervals;
    let place = usize::try_from(tries).unwrap_or(usize::MAX);
    let wait = waits.get(place).or(waits.last());
    wait.copied().unwrap_or(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::config::Tls;

    fn config() -> MailConfig {
        MailConfig {
            server: None,
            port: None,
            tls: Tls::StartTls,
            user: None,
            password: None,
            from: None,
            reply_to: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            interval: Duration::from_secs(5),
            retry_intervals: vec![Duration::from_secs(60), Duration::from_secs(300)],
            give_up_after: Duration::from_secs(1000),
            drain: Duration::from_secs(30),
        }
    }

    fn mail(sends: u32, failures: u32, age: u64) -> Mail {
        Mail {
            id: Uuid::nil(),
            series: String::new(),
            recipient: String::new(),
            message_id: String::new(),
            what: serde_json::Value::Null,
            claim: Uuid::nil(),
            sends,
            failures,
            age: Duration::from_secs(age),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_was_not_taken_is_tried_again_with_growing_waits_until_it_is_too_old() {
        let refused = Handed::NotTaken("450 later".to_owned());
        let delay = |failures, age| decide(&refused, &mail(1, failures, age), &config());
        let after = |seconds| MailVerdict::NotTaken {
            delay: Duration::from_secs(seconds),
        };
        assert_eq!(
            (delay(0, 0), delay(1, 60), delay(50, 999)),
            (after(60), after(300), after(300))
        );
        assert_eq!(delay(50, 1000), MailVerdict::Refused);
    }

    #[test]
    fn a_lost_answer_is_followed_by_two_more_tries_and_then_said_to_be_unconfirmed() {
        let lost = Handed::InDoubt("cut".to_owned());
        let of = |sends| decide(&lost, &mail(sends, 0, 0), &config());
        let after = |seconds| MailVerdict::InDoubt {
            delay: Duration::from_secs(seconds),
        };
        assert_eq!((of(1), of(2), of(3)), (after(60), after(300), MailVerdict::Unconfirmed));
        assert_eq!(decide(&Handed::Taken, &mail(3, 0, 0), &config()), MailVerdict::Sent);
    }
}
