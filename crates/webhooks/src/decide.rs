//! From what an endpoint said to what becomes of the delivery. Pure; the statuses are read as the specification of
//! Standard Webhooks asks ("Delivery success and failure").

use std::time::Duration;

use ledger::DeliveryVerdict;

use crate::client::Heard;

/// The wait of the whole endpoint after it has asked for less once; doubled each further time.
const FIRST_SLOWDOWN: Duration = Duration::from_secs(10);
/// The longest of these waits.
const LONGEST_SLOWDOWN: Duration = Duration::from_secs(300);
/// The longest wish of an endpoint that holds for all its deliveries.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// What follows the try `attempt` (from 1). `slowdowns` is how often the endpoint has asked for less since it last took
/// one, `schedule` the waits between tries, and `jitter` how many hundredths of a wait are added.
#[must_use]
pub fn decide(heard: Heard, attempt: u32, slowdowns: u32, schedule: &[Duration], jitter: u32) -> DeliveryVerdict {
    let (status, retry_after) = match heard {
        Heard::Answer { status, retry_after } => (Some(status), retry_after),
        Heard::Silence(_) => (None, None),
    };
    if status.is_some_and(|status| (200..300).contains(&status)) {
        return DeliveryVerdict::Delivered;
    }
    if status == Some(410) {
        return DeliveryVerdict::Gone;
    }
    let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(wait) = schedule.get(place) else {
        return DeliveryVerdict::Exhausted;
    };
    let wait = wait.saturating_add(wait.saturating_mul(jitter) / 100);
    let busy = match status {
        Some(429 | 502 | 504) => true,
        Some(503) => retry_after.is_some(),
        Some(_) | None => false,
    };
    let slow = busy.then(|| {
        let own = FIRST_SLOWDOWN.saturating_mul(2_u32.saturating_pow(slowdowns));
        own.min(LONGEST_SLOWDOWN)
            .max(retry_after.unwrap_or_default().min(LONGEST_WISH))
    });
    DeliveryVerdict::Again {
        delay: wait.max(retry_after.unwrap_or_default()),
        slow,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::silence::Silence;

    const SCHEDULE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];

    fn answer(status: u16) -> Heard {
        Heard::Answer {
            status,
            retry_after: None,
        }
    }

    fn again(delay: u64, slow: Option<u64>) -> DeliveryVerdict {
        DeliveryVerdict::Again {
            delay: Duration::from_secs(delay),
            slow: slow.map(Duration::from_secs),
        }
    }

    #[test]
    fn every_status_is_read_as_the_specification_asks() {
        for status in 100..=599 {
            let expected = match status {
                200..=299 => DeliveryVerdict::Delivered,
                410 => DeliveryVerdict::Gone,
                429 | 502 | 504 => again(5, Some(10)),
                _ => again(5, None),
            };
            assert_eq!(decide(answer(status), 1, 0, &SCHEDULE, 0), expected, "{status}");
        }
    }

    #[test]
    fn silence_is_tried_again_by_the_schedule_to_its_end() {
        let silent = Heard::Silence(Silence::Timeout);
        assert_eq!(decide(silent, 1, 0, &SCHEDULE, 0), again(5, None));
        assert_eq!(decide(silent, 2, 0, &SCHEDULE, 20), again(360, None));
        assert_eq!(decide(silent, 3, 0, &SCHEDULE, 0), DeliveryVerdict::Exhausted);
        assert_eq!(decide(silent, 1, 0, &[], 0), DeliveryVerdict::Exhausted);
    }

    #[test]
    fn an_endpoint_that_is_gone_is_gone_at_the_last_try_too() {
        assert_eq!(decide(answer(410), 3, 0, &SCHEDULE, 0), DeliveryVerdict::Gone);
    }

    #[test]
    fn the_wish_of_an_endpoint_is_granted_between_the_schedule_and_its_bound() {
        let wish = |status, seconds| Heard::Answer {
            status,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(decide(wish(429, 1), 1, 0, &SCHEDULE, 0), again(5, Some(10)));
        assert_eq!(decide(wish(429, 120), 1, 0, &SCHEDULE, 0), again(120, Some(120)));
        assert_eq!(decide(wish(429, 86_400), 1, 0, &SCHEDULE, 0), again(86_400, Some(3600)));
        assert_eq!(decide(wish(503, 60), 1, 0, &SCHEDULE, 0), again(60, Some(60)));
        assert_eq!(decide(wish(500, 60), 1, 0, &SCHEDULE, 0), again(60, None));
    }

    #[test]
    fn each_further_request_for_less_doubles_the_wait_up_to_a_bound() {
        let waits: Vec<_> = (0..8)
            .map(|slowdowns| decide(answer(429), 1, slowdowns, &SCHEDULE, 0))
            .collect();
        let expected = [10, 20, 40, 80, 160, 300, 300, 300].map(|slow| again(5, Some(slow)));
        assert_eq!(waits, expected);
    }

    proptest! {
        #[test]
        fn every_delivery_comes_to_an_end(attempt in any::<u32>(), slowdowns in any::<u32>(), status in 100_u16..600,
            wish in prop::option::of(0_u64..200_000), jitter in 0_u32..=20) {
            let heard = Heard::Answer { status, retry_after: wish.map(Duration::from_secs) };
            let verdict = decide(heard, attempt, slowdowns, &SCHEDULE, jitter);
            let is_over = !matches!(verdict, DeliveryVerdict::Again { .. });
            prop_assert!(is_over || attempt <= 2, "{verdict:?}");
        }
    }
}
