//! Events on their way to the broker: a consumer may see one twice and never misses one.

use std::collections::BTreeSet;

use kassa_tests::listener::{Event, Listener};
use kassa_tests::wait;
use sqlx::{Connection, Executor};
use uuid::Uuid;

use crate::world::{LIMIT, World, pace, within};

/// What the table wants told.
async fn told(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM events")
        .fetch_all(&world.pool)
        .await?;
    Ok(ids.iter().map(Uuid::to_string).collect())
}

async fn unpublished(world: &World) -> anyhow::Result<i64> {
    let count = sqlx::query_scalar("SELECT count(*) FROM outbox");
    Ok(count.fetch_one(&world.pool).await?)
}

/// As if the time had gone by after which a relay that says nothing is followed by another.
async fn relay_again(world: &World) -> anyhow::Result<()> {
    sqlx::query("UPDATE outbox SET taken_until = NULL")
        .execute(&world.pool)
        .await?;
    Ok(())
}

fn arrived(events: &[Event]) -> BTreeSet<String> {
    events.iter().filter_map(|event| event.message_id.clone()).collect()
}

/// Makes every mark of a published event wait until the test lets it go.
async fn keep_back_marks(world: &World) -> anyhow::Result<sqlx::PgConnection> {
    let mut keeper = sqlx::PgConnection::connect(&world.fleet.database.url).await?;
    for statement in [
        "CREATE FUNCTION wait_to_mark() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN OLD; END $$",
        "CREATE TRIGGER wait_to_mark BEFORE DELETE ON outbox \
         FOR EACH ROW EXECUTE FUNCTION wait_to_mark()",
        "SELECT pg_advisory_lock(42)",
    ] {
        keeper.execute(statement).await?;
    }
    Ok(keeper)
}

/// The broker has the event and its confirm, and the table does not know it: the process dies between the two.
#[tokio::test]
async fn a_relay_that_dies_between_the_confirm_and_its_mark_is_followed_by_another() -> anyhow::Result<()> {
    within("marked", &pace(), async |world| {
        let mut first = world.poller("first").await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let mut keeper = keep_back_marks(world).await?;
        let id = Uuid::now_v7();
        sqlx::query("INSERT INTO events (id, type, store, body) VALUES ($1, 'receipt.done', 'main', '{\"fd\": 1}')")
            .bind(id)
            .execute(&world.pool)
            .await?;
        listener.until(LIMIT, |events| events.len() == 1).await?;
        let waiting = wait::until("the mark waits to be made", LIMIT, async || {
            let pid: Option<i32> =
                sqlx::query_scalar("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                    .fetch_optional(&world.pool)
                    .await?;
            Ok(pid)
        });
        let waiting = waiting.await?;
        first.kill().await?;
        // What the dead process asked for last never happens.
        sqlx::query("SELECT pg_terminate_backend($1)")
            .bind(waiting)
            .execute(&world.pool)
            .await?;
        keeper.execute("DROP TRIGGER wait_to_mark ON outbox").await?;
        keeper.close().await?;
        assert_eq!(unpublished(world).await?, 1);

        relay_again(world).await?;
        let _second = world.poller("second").await?;
        listener.until(LIMIT, |events| events.len() == 2).await?;
        let texts: Vec<_> = listener.events.iter().map(|event| event.text.as_str()).collect();
        assert_eq!(texts[0], texts[1], "the same bytes");
        assert_eq!(arrived(&listener.events), BTreeSet::from([id.to_string()]));
        wait::until("the mark", LIMIT, async || {
            Ok((unpublished(world).await? == 0).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn of_two_relays_one_may_be_killed_and_a_consumer_misses_nothing() -> anyhow::Result<()> {
    within("relays", &pace(), async |world| {
        let _sender = world.sender("sender").await?;
        let mut one = world.poller("one").await?;
        let _two = world.poller("two").await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let numbers: Vec<String> = (0..40).map(|number| format!("E-{number}")).collect();
        for number in &numbers {
            world.publish("sell", number).await?;
        }
        listener.until(LIMIT, |events| events.len() >= 40).await?;
        one.kill().await?;
        world.until_done(40).await?;
        wait::until("everything is published", LIMIT, async || {
            relay_again(world).await?;
            Ok((unpublished(world).await? == 0).then_some(()))
        })
        .await?;
        let expected = told(world).await?;
        assert!(expected.len() >= 120, "accepted, waiting and done of each");
        listener.until(LIMIT, |events| arrived(events) == expected).await
    })
    .await
}
