//! Limits across processes: no account takes another's place, all workers together keep an account's limits, and its
//! stores share them.

use std::time::Duration;

use futures_util::future::try_join;
use kassa_tests::fleet::Pace;
use kassa_tests::process::Process;
use kassa_tests::wait;
use simulator::{Account, Action, Point, Rule, Traffic};

use crate::gates::{OTHER, assert_each_once, count, publish, until_count};
use crate::world::{World, pace, within};

fn traffic(world: &World, call: &str) -> Traffic {
    let kind = format!("{call} {}", Account::default().group);
    world.books().traffic.get(&kind).copied().unwrap_or_default()
}

#[tokio::test]
async fn an_account_whose_calls_hang_leaves_acceptance_and_the_other_account_untouched() -> anyhow::Result<()> {
    let pace = Pace {
        call: "70s",
        lease: "80s",
        sender: "slots = 8",
        more: OTHER,
        ..pace()
    };
    within("hanging", &pace, async |world| {
        let _sender = world.sender("sender").await?;
        let _poller = world.poller("poller").await?;
        let hangs = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_secs(60));
        world.fault(hangs.for_group(Account::default().group))?;
        let began = tokio::time::Instant::now();
        // Many times the slots and the prefetch of pointers, which both accounts share.
        publish(world, "main", "hangs", 100).await?;
        publish(world, "third", "well", 100).await?;
        wait::until(
            "all are accepted and the other account's are done",
            Duration::from_secs(50),
            async || {
                let accepted = count(world, "hangs", "true").await?;
                let done = count(world, "well", "state = 'done'").await?;
                Ok((accepted == 100 && done == 100).then_some(()))
            },
        )
        .await?;
        assert!(
            began.elapsed() < Duration::from_secs(59),
            "not one call of the first account has ended"
        );
        assert_eq!(traffic(world, "register").most_at_once, 8);
        assert_each_once(world, "well", 100);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_down_yet_takes_no_place_from_the_next_receipt() -> anyhow::Result<()> {
    let pace = Pace {
        sender: "slots = 1",
        ..pace()
    };
    within("unrecorded", &pace, async |world| {
        let _sender = world.sender("sender").await?;
        let slow = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_secs(1));
        world.fault(slow)?;
        publish(world, "main", "first", 1).await?;
        until_count(world, "first", "state = 'sending'", 1).await?;
        let mut holder = world.pool.begin().await?;
        let held: Vec<String> = sqlx::query_scalar("SELECT state FROM transactions FOR UPDATE")
            .fetch_all(&mut *holder)
            .await?;
        assert_eq!(held, ["sending"], "it is held before its answer has come");
        publish(world, "main", "next", 1).await?;
        wait::until("both have reached the vendor", crate::world::LIMIT, async || {
            Ok((traffic(world, "register").requests == 2).then_some(()))
        })
        .await?;
        assert_eq!(count(world, "first", "state = 'sending'").await?, 1);
        holder.rollback().await?;
        until_count(world, "first", "state = 'waiting'", 1).await?;
        until_count(world, "next", "state = 'waiting'", 1).await?;
        assert_eq!(traffic(world, "register").most_at_once, 1);
        Ok(())
    })
    .await
}

/// A sender with eight slots that has learnt that calls are quick, and then has ten receipts claimed while calls take long.
async fn two_claimed_ahead(world: &World, slow_millis: u64) -> anyhow::Result<Process> {
    let sender = world.sender("first").await?;
    let answers_after = |millis| Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_millis(millis));
    world.fault(answers_after(20))?;
    publish(world, "main", "quick", 40).await?;
    until_count(world, "quick", "state = 'waiting'", 40).await?;
    world.heal();
    world.fault(answers_after(slow_millis))?;
    publish(world, "main", "slow", 30).await?;
    until_count(world, "slow", "state = 'sending'", 10).await?;
    Ok(sender)
}

#[tokio::test]
async fn what_is_claimed_ahead_makes_no_call_more_and_goes_out_once_when_its_sender_was_killed() -> anyhow::Result<()> {
    let pace = Pace {
        sender: "slots = 8",
        ..pace()
    };
    within("ahead", &pace, async |world| {
        let mut first = two_claimed_ahead(world, 1500).await?;
        first.kill().await?;
        world.heal();
        let _second = world.sender("second").await?;
        let _poller = world.poller("poller").await?;
        until_count(world, "slow", "state = 'done'", 30).await?;
        assert_eq!(
            traffic(world, "register").most_at_once,
            8,
            "the two that were claimed ahead were not called"
        );
        assert_each_once(world, "quick", 40);
        assert_each_once(world, "slow", 30);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_claimed_ahead_goes_back_unsent_when_its_account_is_paused() -> anyhow::Result<()> {
    let pace = Pace {
        call: "10s",
        lease: "40s",
        sender: "slots = 8",
        ..pace()
    };
    within("paused", &pace, async |world| {
        let _sender = two_claimed_ahead(world, 6000).await?;
        world
            .fleet
            .command(&["account", "pause", "main", "--reason", "inventory"])
            .await?;
        let gave_back = "SELECT count(*) FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
            JOIN registrations r ON r.transaction_id = t.id AND r.generation = t.generation \
            WHERE a.class = 'returned' AND t.state = 'retrying' AND t.trials = 0 AND r.wire_body IS NULL";
        wait::until("both are given back", crate::world::LIMIT, async || {
            let given_back: i64 = sqlx::query_scalar(gave_back).fetch_one(&world.pool).await?;
            Ok((given_back == 2).then_some(()))
        })
        .await?;
        assert_eq!(
            traffic(world, "register").requests,
            48,
            "nothing was called since the account was paused"
        );
        world.heal();
        world.fleet.command(&["account", "resume", "main"]).await?;
        let _poller = world.poller("poller").await?;
        until_count(world, "slow", "state = 'done'", 30).await?;
        assert_each_once(world, "slow", 30);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_senders_together_keep_the_limits_of_an_account() -> anyhow::Result<()> {
    let pace = Pace {
        more: "[limits.main]\nsends_at_once = 3\nsends_per_second = 8\n",
        ..pace()
    };
    within("limited", &pace, async |world| {
        let _senders = try_join(world.sender("sender-1"), world.sender("sender-2")).await?;
        let slow = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_millis(300));
        world.fault(slow)?;
        publish(world, "main", "p", 60).await?;
        until_count(world, "p", "state = 'waiting'", 60).await?;
        let sent = traffic(world, "register");
        assert_eq!(sent.requests, 60);
        assert!(sent.most_at_once <= 3, "{sent:?}");
        // Each process spaces its calls evenly: a second may begin and end with one.
        assert!(sent.most_in_a_second <= 8 + 2, "{sent:?}");
        let workers: i64 = sqlx::query_scalar("SELECT count(DISTINCT worker) FROM attempts WHERE kind = 'send'")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(workers, 2, "both have sent");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_share_of_a_sender_that_was_killed_is_used_by_the_other() -> anyhow::Result<()> {
    let pace = Pace {
        more: "[limits.main]\nsends_at_once = 4\n",
        ..pace()
    };
    within("share", &pace, async |world| {
        let (_stays, mut dies) = try_join(world.sender("stays"), world.sender("dies")).await?;
        let slow = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_millis(300));
        world.fault(slow)?;
        publish(world, "main", "p", 8).await?;
        until_count(world, "p", "state = 'waiting'", 8).await?;
        dies.kill().await?;
        wait::until("the dead one is forgotten", crate::world::LIMIT, async || {
            let there: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM workers WHERE role = 'sender' AND seen_at > now() - interval '4 seconds'",
            )
            .fetch_one(&world.pool)
            .await?;
            Ok((there == 1).then_some(()))
        })
        .await?;
        world.simulator.control().reset_books();
        publish(world, "main", "q", 30).await?;
        until_count(world, "q", "state = 'waiting'", 30).await?;
        assert_eq!(traffic(world, "register").most_at_once, 4, "all of it, and no more");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_store_with_a_backlog_does_not_starve_another_store_of_its_account() -> anyhow::Result<()> {
    let pace = Pace {
        more: "[limits.main]\nsends_at_once = 1\n",
        ..pace()
    };
    within("fair", &pace, async |world| {
        let slow = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_millis(100));
        world.fault(slow)?;
        let _all = world.all().await?;
        publish(world, "main", "big", 150).await?;
        until_count(world, "big", "true", 150).await?;
        let before = 150 - count(world, "big", "state IN ('waiting', 'done')").await?;
        publish(world, "second", "small", 5).await?;
        until_count(world, "small", "state IN ('waiting', 'done')", 5).await?;
        let after = 150 - count(world, "big", "state IN ('waiting', 'done')").await?;
        assert!(
            after > 0 && before - after < 60,
            "five turns of the small store took {} of the big one's {before}",
            before - after
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn polls_keep_their_limits_too() -> anyhow::Result<()> {
    let pace = Pace {
        more: "[limits.main]\npolls_at_once = 2\npolls_per_second = 5\n",
        ..pace()
    };
    within("polls", &pace, async |world| {
        let slow = Rule::new(Point::Report, Action::Nothing).delayed(Duration::from_millis(100));
        world.fault(slow)?;
        let _sender = world.sender("sender").await?;
        let _pollers = try_join(world.poller("poller-1"), world.poller("poller-2")).await?;
        publish(world, "main", "p", 40).await?;
        until_count(world, "p", "state = 'done'", 40).await?;
        let asked = traffic(world, "report");
        assert!(asked.most_at_once <= 2 && asked.most_in_a_second <= 5 + 2, "{asked:?}");
        assert!(asked.requests >= 40);
        assert_each_once(world, "p", 40);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn settings_of_gates_and_limits_that_cannot_work_are_named() -> anyhow::Result<()> {
    within("settings", &pace(), async |world| {
        let good = std::fs::read_to_string(world.fleet.config())?;
        for (from, to, named) in [
            ("probe_interval = \"300ms\"", "failures = 2", "gates.failures"),
            (
                "worker_expiry = \"4s\"",
                "worker_expiry = \"1s\"",
                "gates.worker_expiry",
            ),
            (
                "[accounts.main]",
                "[limits.nobody]\nsends_at_once = 1\n[accounts.main]",
                "limits.nobody",
            ),
            (
                "[accounts.main]",
                "[limits.main]\npolls_at_once = 0\n[accounts.main]",
                "limits.main.polls_at_once",
            ),
            ("[accounts.main]", "[limits.main]\nsends = 1\n[accounts.main]", "sends"),
        ] {
            let path = world.fleet.folder.join("spoiled.toml");
            anyhow::ensure!(good.contains(from), "{from} is not in {good}");
            std::fs::write(&path, good.replacen(from, to, 1))?;
            let path = path.to_str().unwrap_or_default();
            let output = world
                .fleet
                .try_command_with(path, &["check-config", "--offline"])
                .await?;
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && words.contains(named), "{named}: {words}");
        }
        let defaults = world.fleet.command(&["check-config", "--defaults"]).await?;
        assert!(
            defaults.contains("[gates]") && defaults.contains("probe_interval = \"5s\""),
            "{defaults}"
        );
        Ok(())
    })
    .await
}
