//! The fleet and its broker: other intervals, other arguments, a broker that lost everything, queues that came back dead.
//! The table is the truth, so none of it costs a receipt (design, sections 5 and 6).

use anyhow::Context;
use kassa_tests::fleet::Pace;
use kassa_tests::own::RabbitMq;
use kassa_tests::process::Process;
use kassa_tests::request::request;
use kassa_tests::shop::Shop;
use kassa_tests::vendor::client;
use kassa_tests::{urls, wait};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use simulator::{Action, Point, Rule};

use crate::world::{self, LIMIT, World, within};
use crate::zombie::{self, Doomed};

fn failing() -> Rule {
    Rule::new(
        Point::Register,
        Action::Status {
            code: 503,
            retry_after: None,
        },
    )
}

/// What `/readyz` says about the broker: state and detail.
async fn readiness(process: &Process) -> anyhow::Result<Option<(String, String)>> {
    let log = process.log();
    let Some(line) = log.lines().find(|line| line.contains("ready to answer")) else {
        return Ok(None);
    };
    let line: Value = serde_json::from_str(line)?;
    let address = line["address"].as_str().context("an address")?;
    let Ok(answer) = client()?.get(format!("http://{address}/readyz")).send().await else {
        return Ok(None);
    };
    let answer: Value = serde_json::from_str(&answer.text().await?)?;
    let checks = answer["checks"].as_array().context("checks")?;
    let broker = checks
        .iter()
        .find(|check| check["name"] == "broker")
        .context("a check of the broker")?;
    let text = |key: &str| broker[key].as_str().unwrap_or_default().to_owned();
    Ok(Some((text("state"), text("detail"))))
}

async fn until_readiness(process: &Process, what: &str, wanted: impl Fn(&str, &str) -> bool) -> anyhow::Result<()> {
    let waited = wait::until(what, LIMIT, async || {
        let readiness = readiness(process).await?;
        Ok(readiness
            .is_some_and(|(state, detail)| wanted(&state, &detail))
            .then_some(()))
    });
    waited.await.with_context(|| format!("{}\n", process.log()))
}

/// Runs `kassa topology …`: exit code, standard output.
async fn topology(world: &World, config: &str, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
    let all = [&["topology"], arguments].concat();
    let output = world.fleet.try_command_with(config, &all).await?;
    let stdout = String::from_utf8(output.stdout)? + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.code().context("an exit code")?, stdout))
}

/// The fleet's configuration with something else in it, in a file of its own.
fn rewritten(world: &World, name: &str, change: impl Fn(&str) -> String) -> anyhow::Result<String> {
    let text = change(&std::fs::read_to_string(world.fleet.config())?);
    let path = world.fleet.folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

fn start(world: &World, name: &str, config: &str) -> anyhow::Result<Process> {
    let arguments = ["--config", config, "run", "all"];
    Process::start(name, world.fleet.program(), &arguments, &world.fleet.folder)
}

async fn publish_many(world: &World, name: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        world.publish("sell", &format!("{name}-{number}")).await?;
    }
    Ok(())
}

/// Where the vendor fails for each of them, a gate would keep the later ones from being tried.
fn pace() -> Pace {
    Pace {
        gates: "failures = 1000\ninterval = \"200ms\"\nworker_expiry = \"4s\"",
        ..world::pace()
    }
}

async fn until_all_tried(world: &World, count: i64) -> anyhow::Result<()> {
    wait::until("all of them wait for another try", LIMIT, async || {
        let tried: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions WHERE trials > 0")
            .fetch_one(&world.pool)
            .await?;
        Ok((tried == count).then_some(()))
    })
    .await
}

fn assert_each_once(world: &World, count: usize) {
    let books = world.books();
    let registered = books.registered_by_marker();
    assert_eq!(registered.len(), count);
    assert!(registered.values().all(|times| *times == 1), "{registered:?}");
}

async fn declare_classic(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(name.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    Ok(())
}

async fn delete_queue(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let channel = connection.create_channel().await?;
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

#[tokio::test]
async fn other_retry_intervals_work_on_a_running_broker_and_strand_nothing() -> anyhow::Result<()> {
    let long = Pace {
        retry_intervals: r#"["5s"]"#,
        ..pace()
    };
    within("intervals", &long, async |world| {
        let prefix = &world.fleet.prefix;
        world.fault(failing())?;
        let mut old = world.all().await?;
        publish_many(world, "kept", 10).await?;
        until_all_tried(world, 10).await?;
        assert!(old.stop(LIMIT).await?, "{}", old.log());
        let config = rewritten(world, "other.toml", |text| text.replace(r#"["5s"]"#, r#"["2s", "3s"]"#))?;

        let new = start(world, "new", &config)?;
        until_readiness(&new, "readiness", |state, _| state == "ok").await?;
        assert!(!new.log().contains("PRECONDITION_FAILED"), "{}", new.log());
        let (code, plan) = topology(world, &config, &["plan", "--output", "json"]).await?;
        assert_eq!(code, 0, "{plan}");
        assert!(
            plan.contains(&format!("{prefix}.delay.5s")) && plan.contains("unwanted"),
            "{plan}"
        );
        let (code, told) = topology(world, &config, &["verify"]).await?;
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("no store has this retry interval"), "{told}");

        // What waited in the old queue has gone on by itself, and only then the queue goes.
        wait::until("the old queue is gone", LIMIT, async || {
            let (code, told) = topology(world, &config, &["apply"]).await?;
            assert!(
                code == 0 || code == 5 && told.contains("still wait in it"),
                "{code}: {told}"
            );
            Ok((code == 0).then_some(()))
        })
        .await?;
        let (code, told) = topology(world, &config, &["verify"]).await?;
        assert_eq!(code, 0, "{told}");
        assert!(
            world.depth_by(&world.fleet.shop().await?, "delay.5s").await.is_err(),
            "it exists"
        );
        world.heal();
        world.until_done(10).await?;
        assert_each_once(world, 10);
        let gone = ["2s", "3s"].map(|delay| format!("{prefix}.delay.{delay}"));
        drop(new);
        let connection = connect(&urls::amqp_url()?).await?;
        for name in gone {
            delete_queue(&connection, &name).await?;
            connection
                .create_channel()
                .await?
                .exchange_delete(name.into(), lapin::options::ExchangeDeleteOptions::default())
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_role_works_with_queues_of_other_arguments_and_says_how_to_replace_them() -> anyhow::Result<()> {
    within("othershape", &pace(), async |world| {
        let prefix = &world.fleet.prefix;
        let connection = connect(&urls::amqp_url()?).await?;
        for queue in ["intake", "retry.atol"] {
            declare_classic(&connection, &format!("{prefix}.{queue}")).await?;
        }
        let mut all = world.all().await?;
        until_readiness(&all, "the difference is told", |state, detail| {
            let names = ["intake", "retry.atol", "topology apply --recreate"];
            state == "warn" && names.iter().all(|name| detail.contains(name))
        })
        .await?;
        world.fault(failing().times(1))?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        assert!(!all.log().contains("no connection to the broker"), "{}", all.log());

        let config = world.fleet.config().to_str().context("a path in UTF-8")?.to_owned();
        let (code, told) = topology(world, &config, &["verify"]).await?;
        assert_eq!((code, told.matches(" is different").count()), (1, 2), "{told}");
        let (code, told) = topology(world, &config, &["apply", "--recreate"]).await?;
        assert_eq!(code, 5, "{told}");
        assert!(told.contains("stop the senders"), "{told}");
        assert!(all.stop(LIMIT).await?, "{}", all.log());
        world.publish("sell", "418").await?;
        let (code, told) = topology(world, &config, &["apply", "--recreate"]).await?;
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("1 requests were moved"), "{told}");

        let all = world.all().await?;
        until_readiness(&all, "all is as wanted", |state, detail| {
            state == "ok" && detail.is_empty()
        })
        .await?;
        world.publish("sell", "419").await?;
        for number in ["418", "419"] {
            world.assert_done_once(number).await?;
        }
        let (code, told) = topology(world, &config, &["verify"]).await?;
        assert_eq!(code, 0, "{told}");
        assert!(world.dead_letters().await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_broker_topology_says_so_by_its_exit_code() -> anyhow::Result<()> {
    within("nobroker", &pace(), async |world| {
        let config = rewritten(world, "nowhere.toml", |text| {
            let other = "amqp://kassa:kassa@127.0.0.1:1/%2f";
            let broker = |line: &str| line.starts_with("url = \"amqp");
            let lines = text.lines().map(|line| {
                if broker(line) {
                    format!("url = \"{other}\"")
                } else {
                    line.to_owned()
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        })?;
        for action in ["plan", "apply", "verify"] {
            let (code, told) = topology(world, &config, &[action]).await?;
            assert_eq!(code, 69, "{told}");
        }
        Ok(())
    })
    .await
}

/// A fleet whose broker is a node of its own.
async fn with_own_node<F>(purpose: &str, body: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&World, &mut RabbitMq, &str) -> anyhow::Result<()>,
{
    let mut node = RabbitMq::start().await?;
    within(purpose, &pace(), async |world| {
        let url = node.url();
        let config = rewritten(world, "own.toml", |text| {
            let lines = text.lines().map(|line| {
                if line.starts_with("url = \"amqp") {
                    format!(
                        "url = \"{url}\"\nconfirm_timeout = \"3s\"\ncanary_interval = \"1s\"\nreconnect_pause = \"1s\""
                    )
                } else {
                    line.to_owned()
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        })?;
        body(world, &mut node, &config).await
    })
    .await
}

async fn publish_at_last(world: &World, node: &RabbitMq, number: &str) -> anyhow::Result<()> {
    let body = request("main", "sell", number, number).to_string();
    wait::until("the broker takes a request", LIMIT, async || {
        // A publish to an exchange that is not there closes the channel.
        let Ok(shop) = Shop::connect_at(&node.url(), &world.fleet.prefix).await else {
            return Ok(None);
        };
        Ok(shop.publish("main", body.as_bytes()).await.ok())
    })
    .await
}

#[tokio::test]
async fn a_broker_restored_from_nothing_in_mid_run_costs_nothing_that_was_accepted() -> anyhow::Result<()> {
    with_own_node("restored", async |world, node, config| {
        let mut all = start(world, "all", config)?;
        until_readiness(&all, "readiness", |state, _| state == "ok").await?;
        world.fault(failing())?;
        for number in 0..15 {
            publish_at_last(world, node, &format!("kept-{number}")).await?;
        }
        until_all_tried(world, 15).await?;
        node.wipe().await?;
        world.heal();
        world.until_done(15).await?;
        until_readiness(&all, "the fleet is back", |state, _| state == "ok").await?;
        publish_at_last(world, node, "after").await?;
        world.assert_done_once("after").await?;
        assert_each_once(world, 16);
        let (code, told) = topology(world, config, &["verify"]).await?;
        assert_eq!(code, 0, "{told}");
        assert!(all.runs()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn zombie_queues_are_told_the_table_goes_on_and_recreate_cures_them() -> anyhow::Result<()> {
    with_own_node("zombie", async |world, node, config| {
        let names = ["send.atol", "retry.atol", "delay.1s"].map(|name| format!("{}.{name}", world.fleet.prefix));
        let [dead, retry] = ["dead", "retry"].map(|name| format!("{}.{name}", world.fleet.prefix));
        let ends = [(&dead, None), (&dead, None), (&retry, Some(1))];
        let doomed = names.iter().zip(ends).map(|(name, (dead_letters, delay))| Doomed {
            name: name.clone(),
            dead_letters: dead_letters.clone(),
            delay,
        });
        let doomed: Vec<_> = doomed.collect();
        zombie::make(node, &doomed).await?;
        let mut all = start(world, "all", config)?;
        until_readiness(&all, "the zombies are told with their cure", |state, detail| {
            let told = names.iter().all(|name| detail.contains(name.as_str()));
            state == "warn" && told && detail.contains("is sick") && detail.contains("topology apply --recreate")
        })
        .await?;
        let (code, told) = topology(world, config, &["verify"]).await?;
        assert_eq!(code, 1, "{told}");
        assert_eq!(told.matches(" is sick").count(), 3, "{told}");

        // First tries and retries go through the table meanwhile.
        world.fault(failing().times(2))?;
        for number in 0..5 {
            publish_at_last(world, node, &format!("meanwhile-{number}")).await?;
        }
        world.until_done(5).await?;

        let (code, told) = topology(world, config, &["apply"]).await?;
        assert_eq!(code, 5, "{told}");
        let (code, told) = topology(world, config, &["apply", "--recreate"]).await?;
        assert_eq!(code, 0, "{told}");
        let (code, told) = topology(world, config, &["verify"]).await?;
        assert_eq!(code, 0, "{told}");
        until_readiness(&all, "all is well again", |state, detail| {
            state == "ok" && detail.is_empty()
        })
        .await?;
        publish_at_last(world, node, "after").await?;
        world.assert_done_once("after").await?;
        assert_each_once(world, 6);
        assert!(world.dead_letters().await?.is_empty(), "no canary became a dead letter");
        assert!(all.runs()?);
        Ok(())
    })
    .await
}
