//! Days, weeks and months against the calendar.

use jiff::civil::date;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    time_zone(name).expect("a zone")
}

fn seen(period: Period, now: &str, zone_name: &str) -> Bounds {
    let now: Timestamp = now.parse().expect("a time");
    period.bounds(now, &zone(zone_name)).expect("a period")
}

fn told(bounds: &Bounds) -> [String; 4] {
    let told = |moment: &Zoned| moment.timestamp().display_with_offset(moment.offset()).to_string();
    [
        told(&bounds.from),
        told(&bounds.until),
        told(&bounds.before.from),
        told(&bounds.before.until),
    ]
}

#[test]
fn every_period_has_the_days_that_people_mean() {
    // A Sunday.
    let now = "2026-11-22T14:30:00+03:00";
    for (period, first, last, before) in [
        (
            Period::Today,
            date(2026, 11, 22),
            date(2026, 11, 22),
            "2026-11-21T14:30:00+03:00",
        ),
        (
            Period::Yesterday,
            date(2026, 11, 21),
            date(2026, 11, 21),
            "2026-11-21T00:00:00+03:00",
        ),
        (
            Period::ThisWeek,
            date(2026, 11, 16),
            date(2026, 11, 22),
            "2026-11-15T14:30:00+03:00",
        ),
        (
            Period::LastWeek,
            date(2026, 11, 9),
            date(2026, 11, 15),
            "2026-11-09T00:00:00+03:00",
        ),
        (
            Period::ThisMonth,
            date(2026, 11, 1),
            date(2026, 11, 30),
            "2026-10-22T14:30:00+03:00",
        ),
        (
            Period::LastMonth,
            date(2026, 10, 1),
            date(2026, 10, 31),
            "2026-10-01T00:00:00+03:00",
        ),
    ] {
        let bounds = seen(period, now, "Europe/Moscow");
        assert_eq!((bounds.first, bounds.last), (first, last), "{}", period.name());
        let [from, until, _, before_until] = told(&bounds);
        assert_eq!(from, format!("{first}T00:00:00+03:00"));
        assert_eq!(until, format!("{}T00:00:00+03:00", last.tomorrow().expect("a day")));
        assert_eq!(before_until, before, "{}", period.name());
    }
}

#[test]
fn a_day_is_the_day_of_the_store_and_not_of_utc() {
    for (now, day) in [
        ("2026-11-21T20:59:59.999999999Z", date(2026, 11, 21)),
        ("2026-11-21T21:00:00Z", date(2026, 11, 22)),
    ] {
        assert_eq!(seen(Period::Today, now, "Europe/Moscow").first, day);
    }
    assert_eq!(
        seen(Period::Today, "2026-11-21T18:59:59Z", "Asia/Yekaterinburg").first,
        date(2026, 11, 21)
    );
    assert_eq!(
        seen(Period::Today, "2026-11-21T19:00:00Z", "Asia/Yekaterinburg").first,
        date(2026, 11, 22)
    );
}

#[test]
fn days_on_which_the_clocks_change_are_whole_days() {
    for (now, hours) in [
        ("2026-03-30T01:00:00Z", 23),
        ("2026-10-26T01:00:00Z", 25),
        ("2026-10-27T01:00:00Z", 24),
    ] {
        let bounds = seen(Period::Yesterday, now, "Europe/Berlin");
        let length = bounds.until.timestamp().duration_since(bounds.from.timestamp());
        assert_eq!(length, SignedDuration::from_hours(hours), "{now}");
        assert_eq!(bounds.from.time(), jiff::civil::time(0, 0, 0, 0));
    }
    // Midnight itself is skipped.
    let day = date(2018, 11, 4);
    let bounds = seen(
        Period::Days { first: day, last: day },
        "2018-12-01T00:00:00Z",
        "America/Sao_Paulo",
    );
    assert_eq!(told(&bounds)[0], "2018-11-04T01:00:00-02:00");
    // Moscow itself: the whole country went over to its present time.
    let day = date(2014, 10, 26);
    let bounds = seen(
        Period::Days { first: day, last: day },
        "2014-12-01T00:00:00Z",
        "Europe/Moscow",
    );
    assert_eq!(
        told(&bounds)[..2],
        ["2014-10-26T00:00:00+04:00", "2014-10-27T00:00:00+03:00"]
    );
}

#[test]
fn a_range_is_compared_with_as_many_days_before_it() {
    let range = |first, last| Period::Days { first, last };
    let leap = seen(
        range(date(2028, 2, 27), date(2028, 3, 1)),
        "2028-03-05T00:00:00Z",
        "Europe/Moscow",
    );
    assert_eq!(
        told(&leap),
        [
            "2028-02-27T00:00:00+03:00",
            "2028-03-02T00:00:00+03:00",
            "2028-02-23T00:00:00+03:00",
            "2028-02-27T00:00:00+03:00"
        ]
    );
    assert!(leap.is_over);
    let open = seen(
        range(date(2026, 11, 20), date(2026, 12, 31)),
        "2026-11-22T09:00:00Z",
        "Europe/Moscow",
    );
    assert!(!open.is_over);
    assert_eq!(told(&open)[3], "2026-10-11T12:00:00+03:00");
}

#[test]
fn a_month_so_far_is_compared_with_what_the_shorter_month_has() {
    let bounds = seen(Period::ThisMonth, "2026-03-31T12:00:00+03:00", "Europe/Moscow");
    assert_eq!(
        told(&bounds)[2..],
        ["2026-02-01T00:00:00+03:00", "2026-02-28T12:00:00+03:00"]
    );
}

#[test]
fn what_cannot_be_reckoned_is_refused_in_words() {
    let now: Timestamp = "2026-11-22T21:30:00Z".parse().expect("a time");
    let bounds = |first, last| Period::Days { first, last }.bounds(now, &zone("Europe/Moscow"));
    let refused = bounds(date(2026, 11, 22), date(2026, 11, 21)).expect_err("backwards");
    assert_eq!(
        refused.to_string(),
        "the last day 2026-11-21 is before the first day 2026-11-22"
    );
    assert!(
        bounds(date(2026, 11, 23), date(2026, 11, 23)).is_ok(),
        "it has begun in Moscow"
    );
    let refused = bounds(date(2026, 11, 24), date(2026, 11, 24)).expect_err("the future");
    assert_eq!(
        refused.to_string(),
        "2026-11-24 has not begun yet in the zone Europe/Moscow"
    );
    assert_eq!(
        bounds(date(9999, 12, 31), date(9999, 12, 31)),
        Err(BadPeriod::Future {
            first: date(9999, 12, 31),
            zone: "Europe/Moscow".to_owned(),
        })
    );
    assert_eq!(bounds(date(-9999, 1, 1), date(-9999, 1, 1)), Err(BadPeriod::Endless));
    for name in ["", "Europe/Atlantis", "MSK+3", "../etc/passwd"] {
        assert_eq!(time_zone(name), Err(UnknownZone(name.to_owned())));
    }
}

#[test]
fn the_zones_do_not_come_from_the_machine_alone() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    assert!(bundled.get("Europe/Moscow").is_ok() && bundled.get("Asia/Kamchatka").is_ok());
}

#[test]
fn json_tells_the_exact_bounds_with_their_offsets() {
    let bounds = seen(Period::Yesterday, "2026-10-26T10:00:00Z", "Europe/Berlin");
    assert_eq!(
        serde_json::to_value(&bounds).expect("JSON"),
        serde_json::json!({
            "name": "yesterday",
            "first": "2026-10-25",
            "last": "2026-10-25",
            "time_zone": "Europe/Berlin",
            "from": "2026-10-25T00:00:00+02:00",
            "until": "2026-10-26T00:00:00+01:00",
            "is_over": true,
            "before": { "from": "2026-10-24T00:00:00+02:00", "until": "2026-10-25T00:00:00+02:00" }
        })
    );
}

const ZONES: [&str; 8] = [
    "Europe/Moscow",
    "Europe/Berlin",
    "Asia/Kamchatka",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
];

const NAMED: [Period; 6] = [
    Period::Today,
    Period::Yesterday,
    Period::ThisWeek,
    Period::LastWeek,
    Period::ThisMonth,
    Period::LastMonth,
];

/// Any time from 2012 to 2060.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (1_325_376_000_i64..2_840_140_800, 0_i32..1_000_000_000)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).expect("within the calendar"))
}

proptest! {
    #[test]
    fn periods_lie_side_by_side_and_hold_the_present(now in any_time(), zone_name in prop::sample::select(&ZONES[..])) {
        let zone = zone(zone_name);
        let bounds = |period: Period| period.bounds(now, &zone).expect("a named period");
        for (this, last) in [
            (Period::Today, Period::Yesterday),
            (Period::ThisWeek, Period::LastWeek),
            (Period::ThisMonth, Period::LastMonth),
        ] {
            let (this, last) = (bounds(this), bounds(last));
            prop_assert!(!this.is_over && last.is_over);
            prop_assert!(this.from.timestamp() <= now && now < this.until.timestamp());
            prop_assert_eq!(&last.until, &this.from);
            prop_assert_eq!(&this.before.from, &last.from);
        }
        prop_assert_eq!(bounds(Period::ThisWeek).first.weekday(), jiff::civil::Weekday::Monday);
        prop_assert_eq!(bounds(Period::ThisMonth).first.day(), 1);
    }

    #[test]
    fn what_a_period_is_compared_with_ends_before_it_begins(
        now in any_time(),
        zone_name in prop::sample::select(&ZONES[..]),
        back in 0_i64..400,
        days in 0_i64..100,
    ) {
        let zone = zone(zone_name);
        let first = now.to_zoned(zone.clone()).date() - back.days();
        let range = Period::Days { first, last: first + days.days() };
        for period in NAMED.into_iter().chain([range]) {
            let bounds = period.bounds(now, &zone).expect("a period");
            prop_assert!(bounds.from < bounds.until);
            prop_assert!(bounds.before.from <= bounds.before.until);
            prop_assert!(bounds.before.until <= bounds.from);
            if bounds.is_over {
                prop_assert_eq!(&bounds.before.until, &bounds.from);
            }
            for start in [&bounds.from, &bounds.until, &bounds.before.from] {
                let earlier = start.timestamp() - SignedDuration::from_nanos(1);
                let day_before = earlier.to_zoned(zone.clone()).date();
                prop_assert!(day_before < start.date(), "{} is the first moment of its day", start);
            }
        }
    }
}
