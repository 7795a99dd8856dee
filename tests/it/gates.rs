//! Gates across processes: an account that does not work costs its receipts nothing but time, and no other account
//! anything.

use std::time::Duration;

use anyhow::Context;
use kassa_tests::fleet::Pace;
use kassa_tests::listener::Listener;
use kassa_tests::request::request;
use kassa_tests::wait;
use serde_json::Value;
use simulator::{Account, AccountState, Action, ErrorAnswer, Faults, Point, Registers, Rule};

use crate::world::{LIMIT, World, pace, within};

/// A second account at the same vendor, and a store of it.
pub(crate) const OTHER: &str = r#"
[accounts.other]
vendor = "atol"
url = "{atol}"
login = "other-login"
password = "other-password"
group_code = "other_1"

[stores.third]
account = "other"
inn = "5544332219"
sno = "osn"
payment_address = "https://shop.example"
company_email = "kassa@shop.example"
poll_intervals = ["1s"]
"#;

/// No machine probes within a test.
const NO_PROBES: &str = r#"
probe_interval = "1h"
longest_probe_interval = "1h"
ramp_step = "100ms"
interval = "200ms"
worker_expiry = "4s"
"#;

/// The gate of an account, as the table has it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Gate {
    state: String,
    is_open: bool,
    reason: Option<String>,
    probes: i32,
    paused_by: Option<String>,
    /// From closing to the next probe.
    wait_seconds: Option<f64>,
}

async fn gate(world: &World) -> anyhow::Result<Option<Gate>> {
    Ok(sqlx::query_as(
        "SELECT state, is_open, reason, probes, paused_by, \
         extract(epoch FROM next_probe_at - closed_at)::float8 AS wait_seconds FROM gates WHERE account = 'main'",
    )
    .fetch_optional(&world.pool)
    .await?)
}

async fn until_gate(world: &World, what: &str, wanted: impl Fn(&Gate) -> bool) -> anyhow::Result<Gate> {
    let waited = wait::until(what, LIMIT, async || Ok(gate(world).await?.filter(|gate| wanted(gate)))).await;
    match waited {
        Ok(gate) => Ok(gate),
        Err(error) => Err(error.context(format!("the gate is {:?}", gate(world).await?))),
    }
}

fn group() -> String {
    Account::default().group
}

fn fails(code: u16) -> Rule {
    let status = Action::Status {
        code,
        retry_after: None,
    };
    Rule::new(Point::Register, status).for_group(group())
}

fn wrong_password(world: &World) -> anyhow::Result<()> {
    let faults = Faults {
        account: AccountState::WrongPassword,
        ..Faults::default()
    };
    Ok(world.simulator.control().set_faults(faults)?)
}

pub(crate) async fn publish(world: &World, store: &str, name: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let number = format!("{name}-{number}");
        let body = request(store, "sell", &number, &number).to_string();
        world.shop.publish(store, body.as_bytes()).await?;
    }
    Ok(())
}

pub(crate) async fn count(world: &World, what: &str, condition: &'static str) -> anyhow::Result<i64> {
    let query = format!("SELECT count(*) FROM transactions WHERE document_number LIKE '{what}-%' AND {condition}");
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(&world.pool)
        .await?)
}

pub(crate) async fn until_count(world: &World, what: &str, condition: &'static str, wanted: i64) -> anyhow::Result<()> {
    let told = format!("{wanted} of {what} with {condition}");
    let waited = wait::until(&told, LIMIT, async || {
        Ok((count(world, what, condition).await? == wanted).then_some(()))
    });
    let outcome = waited.await;
    if outcome.is_err() {
        let states: Vec<(String, i64)> =
            sqlx::query_as("SELECT store || ' ' || state, count(*) FROM transactions GROUP BY 1")
                .fetch_all(&world.pool)
                .await?;
        return outcome.with_context(|| format!("{states:?}"));
    }
    Ok(())
}

async fn trials(world: &World, what: &str) -> anyhow::Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT coalesce(sum(trials), 0)::bigint FROM transactions WHERE document_number LIKE $1")
            .bind(format!("{what}-%"))
            .fetch_one(&world.pool)
            .await?,
    )
}

/// Every one of them is registered exactly once.
pub(crate) fn assert_each_once(world: &World, name: &str, count: usize) {
    let books = world.books();
    let registered = books.registered_by_marker();
    for number in 0..count {
        let marker = format!("{name}-{number}");
        assert_eq!(registered.get(marker.as_str()), Some(&1), "{marker}");
    }
}

#[tokio::test]
async fn an_outage_of_one_account_neither_slows_the_other_nor_spends_trials_and_ends_by_a_probe() -> anyhow::Result<()>
{
    let pace = Pace { more: OTHER, ..pace() };
    within("outage", &pace, async |world| {
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        world.fault(fails(503))?;
        publish(world, "main", "sick", 20).await?;
        until_gate(world, "the breaker closes the gate", |gate| !gate.is_open).await?;
        publish(world, "main", "late", 20).await?;
        publish(world, "third", "well", 20).await?;
        until_count(world, "well", "state = 'done'", 20).await?;
        until_count(world, "late", "state IN ('queued', 'sending', 'retrying')", 20).await?;
        let closed = until_gate(world, "probes that fail", |gate| gate.probes >= 3).await?;
        assert_eq!(closed.reason.as_deref(), Some("breaker"));
        let spent = trials(world, "sick").await?;
        assert!(spent <= 4, "{spent} trials, and the fifth failure closes the gate");
        assert_eq!(trials(world, "late").await?, 0);
        let tried = "fence > 0";
        let (sick, late) = (count(world, "sick", tried).await?, count(world, "late", tried).await?);
        assert!(sick + late < 40, "most wait without an attempt: {sick} and {late}");

        world.heal();
        until_count(world, "sick", "state = 'done'", 20).await?;
        until_count(world, "late", "state = 'done'", 20).await?;
        assert!(gate(world).await?.is_some_and(|gate| gate.is_open));
        for (name, count) in [("sick", 20), ("late", 20), ("well", 20)] {
            assert_each_once(world, name, count);
        }
        for key in ["main.account.paused", "second.account.paused", "main.account.resumed"] {
            listener
                .until(LIMIT, |events| events.iter().any(|event| event.routing_key == key))
                .await?;
        }
        let paused = listener
            .events
            .iter()
            .find(|event| event.routing_key == "main.account.paused");
        let body = &paused.context("waited for")?.body;
        assert_eq!(
            (&body["account"], &body["reason"]),
            (&"main".into(), &"breaker".into()),
            "{body}"
        );
        assert!(body["text"]["ru"].is_string() && body["since"].is_string(), "{body}");
        assert!(
            !listener
                .events
                .iter()
                .any(|event| event.routing_key.starts_with("third.account"))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_password_gates_the_account_until_it_is_right_again() -> anyhow::Result<()> {
    within("password", &pace(), async |world| {
        wrong_password(world)?;
        let _all = world.all().await?;
        publish(world, "main", "p", 10).await?;
        let closed = until_gate(world, "the gate closes", |gate| gate.probes >= 2).await?;
        assert_eq!(closed.reason.as_deref(), Some("halt"));
        assert_eq!((trials(world, "p").await?, world.books().documents.len()), (0, 0));
        let list: Value = serde_json::from_str(&world.fleet.command(&["account", "list", "--output", "json"]).await?)?;
        let shown = &list[0];
        assert_eq!(
            (&shown["account"], &shown["is_open"], &shown["code"]),
            (&"main".into(), &false.into(), &"system 12".into())
        );
        assert!(
            shown["cure"]["ru"].as_str().is_some_and(|cure| !cure.is_empty()),
            "{shown}"
        );
        let table = world.fleet.command(&["account", "list", "--output", "table"]).await?;
        assert!(table.contains("halt: system 12"), "{table}");

        world.heal();
        until_count(world, "p", "state = 'done'", 10).await?;
        assert_each_once(world, "p", 10);
        let counted = trials(world, "p").await?;
        assert_eq!(counted, 10, "one send each was counted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_opens_what_a_machine_has_closed() -> anyhow::Result<()> {
    let pace = Pace {
        gates: NO_PROBES,
        ..pace()
    };
    within("resume", &pace, async |world| {
        wrong_password(world)?;
        let _all = world.all().await?;
        publish(world, "main", "p", 5).await?;
        until_gate(world, "the gate closes", |gate| !gate.is_open).await?;
        world.heal();
        let resumed = world
            .fleet
            .command(&["account", "resume", "main", "--as", "olga", "--output", "json"])
            .await?;
        let resumed: Value = serde_json::from_str(&resumed)?;
        assert_eq!(resumed["is_open"], true, "{resumed}");
        until_count(world, "p", "state = 'done'", 5).await?;
        assert_each_once(world, "p", 5);
        let who: Vec<(String, bool)> =
            sqlx::query_as("SELECT who, is_person FROM gate_changes WHERE change = 'resumed'")
                .fetch_all(&world.pool)
                .await?;
        assert_eq!(who, [("olga".to_owned(), true)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_machine_never_opens_the_pause_of_a_person() -> anyhow::Result<()> {
    within("pause", &pace(), async |world| {
        wrong_password(world)?;
        let _all = world.all().await?;
        publish(world, "main", "before", 3).await?;
        until_gate(world, "a machine closes the gate", |gate| gate.state == "closed").await?;
        // A probe may have changed the gate between the look and the pause of the command, as another person might.
        world
            .fleet
            .command(&["account", "pause", "main", "--reason", "inventory"])
            .await?;
        world.heal();
        let paused = until_gate(world, "a probe finds that the account works", |gate| {
            gate.state == "open"
        })
        .await?;
        assert!(!paused.is_open && paused.paused_by.is_some(), "{paused:?}");
        publish(world, "main", "after", 5).await?;
        until_count(world, "after", "state = 'queued'", 5).await?;
        assert_eq!(count(world, "after", "fence > 0").await?, 0);
        assert!(
            world.books().documents.is_empty(),
            "nothing was sent, by pointer, due row or probe"
        );

        world.fleet.command(&["account", "resume", "main"]).await?;
        until_count(world, "before", "state = 'done'", 3).await?;
        until_count(world, "after", "state = 'done'", 5).await?;
        assert_each_once(world, "after", 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_account_commands_tell_what_is_wrong_by_their_exit_codes() -> anyhow::Result<()> {
    within("commands", &pace(), async |world| {
        let run = async |arguments: &[&str]| -> anyhow::Result<(Option<i32>, String)> {
            let output = world.fleet.try_command(arguments).await?;
            let text = [output.stdout, output.stderr].concat();
            Ok((output.status.code(), String::from_utf8(text)?))
        };
        let (code, words) = run(&["account", "pause", "nobody", "--reason", "x"]).await?;
        assert!(code == Some(3) && words.contains("main"), "{code:?} {words}");
        let (code, words) = run(&["account", "pause", "main"]).await?;
        assert!(code == Some(2) && words.contains("--reason"), "{code:?} {words}");
        assert_eq!(run(&["account", "resume", "main"]).await?.0, Some(0), "it is open");
        for _ in 0..2 {
            let (code, words) = run(&["account", "pause", "main", "--reason", "inventory", "--as", "olga"]).await?;
            assert!(
                code == Some(0) && words.contains("olga") && words.contains("inventory"),
                "{words}"
            );
        }
        let list: Value = serde_json::from_str(&world.fleet.command(&["account", "list", "--output", "json"]).await?)?;
        assert_eq!(list[0]["pause"]["by"], "olga");
        assert_eq!(run(&["account", "resume", "main"]).await?.0, Some(0));
        let changes: Vec<(String, String)> = sqlx::query_as("SELECT change, who FROM gate_changes ORDER BY id")
            .fetch_all(&world.pool)
            .await?;
        assert_eq!(changes.len(), 2, "what is so already is not done again: {changes:?}");
        assert_eq!(changes[0], ("paused".to_owned(), "olga".to_owned()));
        assert!(
            changes[1].0 == "resumed" && !changes[1].1.is_empty(),
            "the system's user: {changes:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_senders_probe_a_closed_gate_with_one_receipt_at_a_time() -> anyhow::Result<()> {
    within("onceprobed", &pace(), async |world| {
        let _senders = futures_util::future::try_join(world.sender("sender-1"), world.sender("sender-2")).await?;
        world.fault(fails(503))?;
        publish(world, "main", "p", 30).await?;
        until_gate(world, "the gate closes", |gate| gate.probes >= 1).await?;
        until_count(world, "p", "state = 'sending'", 0).await?;
        world.simulator.control().reset_books();
        let before = until_gate(world, "no probe is under way", |gate| gate.state == "closed")
            .await?
            .probes;
        let after = until_gate(world, "more probes", |gate| gate.probes >= before + 4)
            .await?
            .probes;
        let traffic = world.books().traffic[&format!("register {}", group())];
        assert_eq!(traffic.most_at_once, 1);
        let probes = u64::try_from(after - before)?;
        assert!(
            traffic.requests <= probes + 2,
            "{} requests in {probes} probes",
            traffic.requests
        );
        let twice: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT transaction_id, lag(transaction_id) OVER (ORDER BY started_at) AS last \
             FROM attempts WHERE kind = 'send' ORDER BY started_at DESC LIMIT 4) sends WHERE transaction_id = last",
        )
        .fetch_one(&world.pool)
        .await?;
        assert_eq!(twice, 0, "a different document each time");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_gate_opens_as_a_ramp() -> anyhow::Result<()> {
    let gates = r#"
probe_interval = "300ms"
longest_probe_interval = "300ms"
ramp_step = "2s"
interval = "200ms"
worker_expiry = "4s"
"#;
    let pace = Pace { gates, ..pace() };
    within("ramp", &pace, async |world| {
        let _all = world.all().await?;
        world.fault(fails(503))?;
        publish(world, "main", "p", 60).await?;
        until_gate(world, "the gate closes", |gate| !gate.is_open).await?;
        until_count(world, "p", "state = 'sending'", 0).await?;
        let slow = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_millis(200));
        world.fault(slow)?;
        until_gate(world, "the gate opens", |gate| gate.is_open).await?;
        until_count(world, "p", "state = 'done'", 60).await?;
        let sent = async |from: i32, to: i32| -> anyhow::Result<i64> {
            Ok(sqlx::query_scalar(
                "SELECT count(*) FROM attempts, gates WHERE kind = 'send' \
                 AND started_at >= opened_at + make_interval(secs => $1) \
                 AND started_at < opened_at + make_interval(secs => $2)",
            )
            .bind(f64::from(from))
            .bind(f64::from(to))
            .fetch_one(&world.pool)
            .await?)
        };
        let (first, second) = (sent(0, 2).await?, sent(2, 4).await?);
        assert!(
            first <= 11,
            "one call of 200 ms at once makes at most ten in 2 s: {first}"
        );
        assert!(second <= 21, "two at once make at most twenty: {second}");
        assert_each_once(world, "p", 60);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_that_is_killed_in_the_middle_of_a_probe_leaves_it_to_another() -> anyhow::Result<()> {
    within("killprobe", &pace(), async |world| {
        let mut first = world.sender("sender-1").await?;
        world.fault(fails(503))?;
        publish(world, "main", "p", 8).await?;
        until_gate(world, "the gate closes", |gate| !gate.is_open).await?;
        let hangs = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_secs(20));
        world.fault(hangs)?;
        until_gate(world, "a real send is the probe", |gate| gate.state == "probing").await?;
        first.kill().await?;
        assert_eq!(gate(world).await?.context("a gate")?.state, "probing");
        world.heal();
        let _all = world.all().await?;
        until_count(world, "p", "state = 'done'", 8).await?;
        assert_each_once(world, "p", 8);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_group_closes_the_gate_over_three_receipts_and_all_of_them_go_out_when_it_opens() -> anyhow::Result<()>
{
    let pace = Pace {
        // Whoever waited for an interval would not be done within the test.
        retry_intervals: r#"["600s"]"#,
        ..pace()
    };
    within("group", &pace, async |world| {
        let refused = Action::Error(ErrorAnswer::new("system", 20));
        world.fault(Rule::new(Point::Register, refused).for_group(group()))?;
        let _all = world.all().await?;
        publish(world, "main", "p", 2).await?;
        until_count(world, "p", "state = 'retrying'", 2).await?;
        assert_eq!(gate(world).await?, None, "two may both be wrong themselves");
        publish(world, "main", "q", 1).await?;
        let closed = until_gate(world, "the third closes the gate", |gate| !gate.is_open).await?;
        assert_eq!(closed.reason.as_deref(), Some("halt"));
        world.heal();
        until_count(world, "p", "state = 'done'", 2).await?;
        until_count(world, "q", "state = 'done'", 1).await?;
        assert_each_once(world, "p", 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_vendor_that_asks_for_fewer_requests_is_left_alone_for_as_long_as_it_asks() -> anyhow::Result<()> {
    within("throttle", &pace(), async |world| {
        let throttled = Action::Status {
            code: 429,
            retry_after: Some(4),
        };
        world.fault(Rule::new(Point::Register, throttled))?;
        let _all = world.all().await?;
        publish(world, "main", "p", 10).await?;
        let closed = until_gate(world, "the gate closes", |gate| !gate.is_open).await?;
        assert!(closed.wait_seconds.is_some_and(|wait| wait >= 3.9), "{closed:?}");
        world.heal();
        until_count(world, "p", "state = 'done'", 10).await?;
        assert_each_once(world, "p", 10);
        assert!(
            trials(world, "p").await? <= 14,
            "ten sends that were taken, and at most four failures"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_sent_is_followed_while_the_breaker_or_a_person_has_closed_the_gate() -> anyhow::Result<()> {
    let pace = Pace {
        gates: NO_PROBES,
        ..pace()
    };
    within("follow", &pace, async |world| {
        let _all = world.all().await?;
        let registers = |registers, rules| Faults {
            registers,
            rules,
            ..Faults::default()
        };
        for (name, by_breaker) in [("a", true), ("b", false)] {
            world
                .simulator
                .control()
                .set_faults(registers(Registers::Off, Vec::new()))?;
            publish(world, "main", name, 1).await?;
            until_count(world, name, "state = 'waiting'", 1).await?;
            if by_breaker {
                world
                    .simulator
                    .control()
                    .set_faults(registers(Registers::Off, vec![fails(503)]))?;
                publish(world, "main", "sick", 6).await?;
            } else {
                world
                    .fleet
                    .command(&["account", "pause", "main", "--reason", "x"])
                    .await?;
            }
            until_gate(world, "the gate closes", |gate| !gate.is_open).await?;
            world.heal();
            until_count(world, name, "state = 'done'", 1).await?;
            assert!(gate(world).await?.is_some_and(|gate| !gate.is_open));
            world.fleet.command(&["account", "resume", "main"]).await?;
            until_gate(world, "it is open", |gate| gate.is_open).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refused_account_is_not_asked_for_results_until_it_works() -> anyhow::Result<()> {
    within("refusedpolls", &pace(), async |world| {
        let all = world.all().await?;
        let off = Faults {
            registers: Registers::Off,
            ..Faults::default()
        };
        world.simulator.control().set_faults(off)?;
        publish(world, "main", "p", 10).await?;
        until_count(world, "p", "state = 'waiting'", 10).await?;
        wrong_password(world)?;
        world.simulator.control().expire_tokens();
        let closed = until_gate(world, "a poll closes the gate", |gate| gate.probes >= 1).await?;
        assert_eq!(closed.reason.as_deref(), Some("halt"));
        let refused = || {
            world
                .books()
                .answers
                .get("get_token 401 system:12")
                .copied()
                .unwrap_or(0)
        };
        let (before, refused_before) = (gate(world).await?.context("a gate")?.probes, refused());
        let after = until_gate(world, "more probes", |gate| gate.probes >= before + 3)
            .await?
            .probes;
        let refused = refused() - refused_before;
        let probes = u64::try_from(after - before)?;
        assert!(refused <= probes + 2, "{refused} calls for a token in {probes} probes");
        world.heal();
        until_count(world, "p", "state = 'done'", 10).await?;
        assert_each_once(world, "p", 10);
        drop(all);
        Ok(())
    })
    .await
}
