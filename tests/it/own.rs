//! The harness's own servers do what their names say: the chaos run and the tests of lost brokers stand on them.

use anyhow::Context;
use kassa_tests::own::{Postgres, RabbitMq};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sqlx::{Connection as _, Executor, PgConnection};
use uuid::Uuid;

#[tokio::test]
async fn an_immediate_stop_of_postgres_keeps_what_was_committed() -> anyhow::Result<()> {
    let mut server = Postgres::start().await?;
    let mut connection = PgConnection::connect(&server.url()).await?;
    connection.execute("CREATE TABLE kept (number int)").await?;
    connection.execute("INSERT INTO kept VALUES (1)").await?;
    server.immediate_stop().await?;
    assert!(connection.execute("SELECT 1").await.is_err(), "sessions are ended");
    server.start_again().await?;
    let mut connection = PgConnection::connect(&server.url()).await?;
    connection.execute("INSERT INTO kept VALUES (2)").await?;
    server.kill9()?;
    server.start_again().await?;
    let mut connection = PgConnection::connect(&server.url()).await?;
    let kept: Vec<i32> = sqlx::query_scalar("SELECT number FROM kept ORDER BY number")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(kept, [1, 2]);
    assert!(server.log().contains("automatic recovery"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn a_killed_node_keeps_confirmed_messages_and_a_wiped_one_nothing() -> anyhow::Result<()> {
    let mut node = RabbitMq::start().await?;
    // A node calls a queue durable before it is, and one that is killed in between has lost it. Nothing tells for certain
    // when that time is over, so a queue that was lost is followed by another one.
    let mut kept = None;
    for attempt in 0..4 {
        let name = format!("kept-{}-{attempt}", Uuid::new_v4().simple());
        let (_connection, channel) = connect(&node).await?;
        declare(&channel, &name, false).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        channel
            .basic_publish(
                "".into(),
                name.as_str().into(),
                BasicPublishOptions::default(),
                b"1",
                persistent,
            )
            .await?
            .await?;
        node.until_on_disk(&name).await?;
        node.kill9()?;
        node.start_again().await?;
        let (_connection, channel) = connect(&node).await?;
        if let Ok(messages) = declare(&channel, &name, true).await {
            assert_eq!(messages, 1, "the queue is there, and its confirmed message is not");
            kept = Some(name);
            break;
        }
    }
    let kept = kept.context("four queues in a row were lost")?;
    node.wipe().await?;
    let (_connection, channel) = connect(&node).await?;
    assert!(declare(&channel, &kept, true).await.is_err(), "there is no such queue");
    Ok(())
}

async fn connect(node: &RabbitMq) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(&node.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// Returns how many messages stand in the queue.
async fn declare(channel: &Channel, name: &str, passive: bool) -> lapin::Result<u32> {
    let options = QueueDeclareOptions {
        durable: true,
        passive,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    Ok(channel
        .queue_declare(name.into(), options, arguments)
        .await?
        .message_count())
}
