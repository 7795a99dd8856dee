//! Several processes of each role at once.

use futures_util::future::try_join_all;

use crate::world::{pace, within};

#[tokio::test]
async fn two_senders_and_two_pollers_register_two_hundred_receipts_once_each() -> anyhow::Result<()> {
    within("wide", &pace(), async |world| {
        let _fleet = try_join_all([
            world.fleet.start("sender-1", &["sender"]),
            world.fleet.start("sender-2", &["sender"]),
            world.fleet.start("poller-1", &["poller"]),
            world.fleet.start("poller-2", &["poller"]),
        ])
        .await?;
        let numbers: Vec<String> = (0..200).map(|number| format!("W-{number}")).collect();
        for (place, number) in numbers.iter().enumerate() {
            let operation = if place % 3 == 0 { "refund" } else { "sell" };
            world.publish(operation, number).await?;
        }
        world.until_done(200).await?;
        let books = world.books();
        assert_eq!(books.registered_by_marker().len(), 200);
        for document in &books.documents {
            assert_eq!(
                (document.registered, document.requests),
                (1, 1),
                "{}",
                document.external_id
            );
        }
        let twice: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT fn, fd FROM transactions GROUP BY fn, fd HAVING count(*) > 1) same",
        )
        .fetch_one(&world.pool)
        .await?;
        assert_eq!(twice, 0);
        Ok(())
    })
    .await
}
