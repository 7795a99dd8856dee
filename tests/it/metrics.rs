//! What a graph or an alert of ops is drawn from, asked of running processes.

use kassa_tests::{fleet, wait};
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{LIMIT, pace, within};

#[tokio::test]
async fn what_happened_and_what_there_is_stands_in_metrics_without_a_word_about_any_receipt() -> anyhow::Result<()> {
    within("metrics", &pace(), async |world| {
        let refused = Action::Error(ErrorAnswer::new("driver", 128));
        world.fault(Rule::new(Point::Processing, refused).for_marker("refused"))?;
        let all = world.all().await?;
        world.publish("sell", "taken").await?;
        world.publish("refund", "returned").await?;
        world.publish("sell", "refused").await?;
        world.shop.publish("main", b"{}").await?;
        world.assert_done_once("taken").await?;
        world.assert_done_once("returned").await?;
        world.until_state("refused", "failed").await?;
        world
            .fleet
            .command(&["account", "pause", "main", "--reason", "a new password"])
            .await?;

        let wanted = [
            "kassa_receipts_total{vendor=\"atol\",operation=\"sell\",state=\"waiting\"} 2",
            "kassa_receipts_total{vendor=\"atol\",operation=\"sell\",state=\"done\"} 1",
            "kassa_receipts_total{vendor=\"atol\",operation=\"refund\",state=\"done\"} 1",
            "kassa_receipts_total{vendor=\"atol\",operation=\"sell\",state=\"failed\"} 1",
            "kassa_receipts{vendor=\"atol\",state=\"failed\"} 1",
            "kassa_receipts{vendor=\"atol\",state=\"queued\"} 0",
            "kassa_oldest_pending_seconds{vendor=\"atol\"} 0",
            "kassa_time_to_register_seconds_count{vendor=\"atol\"} 2",
            "kassa_vendor_requests_total{vendor=\"atol\",method=\"send\",outcome=\"ok\"} 3",
            "kassa_vendor_request_duration_seconds_count{vendor=\"atol\",method=\"send\"} 3",
            "kassa_vendor_errors_total{vendor=\"atol\",code=\"driver 128\"} 1",
            "kassa_breaker_state{account=\"main\"} 2",
            "kassa_dead_letters 1",
            "kassa_unpublished_events 0",
            "kassa_build_info{version=",
        ];
        let told = wait::until("everything is told", LIMIT, async || {
            let told = fleet::ask(&all, "metrics").await?.unwrap_or_default();
            Ok(wanted.iter().all(|line| told.contains(line)).then_some(told))
        })
        .await;
        let told = match told {
            Ok(told) => told,
            Err(error) => anyhow::bail!("{error}\n{}", fleet::ask(&all, "metrics").await?.unwrap_or_default()),
        };
        for secret in ["buyer@", "taken", "invoice_"] {
            assert!(!told.contains(secret), "{secret} stands in\n{told}");
        }
        Ok(())
    })
    .await
}
