//! Writing what comes before the call and what comes after it, for any number of receipts in one commit.

use anyhow::ensure;
use sqlx::PgPool;
use uuid::Uuid;

use super::render::{Answered, Receipt};
use crate::speed::contender::Rows;

pub(super) struct Store {
    pool: PgPool,
    rows: Rows,
}

fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

impl Store {
    pub(super) const fn new(pool: PgPool, rows: Rows) -> Self {
        Self { pool, rows }
    }

    pub(super) async fn accept(&self, receipts: &[Receipt]) -> anyhow::Result<()> {
        let query = match self.rows {
            Rows::Two => sqlx::query_scalar::<_, Uuid>(include_str!("../../../../../peers/insert.sql"))
                .bind(column(receipts, |it| it.id))
                .bind(column(receipts, |it| it.number.clone()))
                .bind(column(receipts, |it| it.body.clone())),
            Rows::Kassa => sqlx::query_scalar(include_str!("../../../../../peers/accept.sql"))
                .bind(column(receipts, |it| it.id))
                .bind(column(receipts, |it| it.number.clone()))
                .bind(column(receipts, |it| it.order.clone()))
                .bind(column(receipts, |it| it.hash.clone()))
                .bind(column(receipts, |it| it.body.clone()))
                .bind(column(receipts, |it| it.total))
                .bind(column(receipts, |it| it.external_id.clone()))
                .bind(column(receipts, |it| it.wire.clone()))
                .bind(column(receipts, |_| Uuid::now_v7()))
                .bind(column(receipts, |it| it.event.clone())),
        };
        let written = query.fetch_all(&self.pool).await?.len();
        // What was delivered before would have to be looked up; the floor is never killed in the middle.
        ensure!(
            written == receipts.len(),
            "{written} of {} receipts are new",
            receipts.len()
        );
        Ok(())
    }

    pub(super) async fn record(&self, answers: &[Answered]) -> anyhow::Result<()> {
        let query = match self.rows {
            Rows::Two => sqlx::query_scalar::<_, Uuid>(include_str!("../../../../../peers/update.sql"))
                .bind(column(answers, |it| it.id))
                .bind(column(answers, |it| it.answer.clone())),
            Rows::Kassa => sqlx::query_scalar(include_str!("../../../../../peers/record.sql"))
                .bind(column(answers, |it| it.id))
                .bind(column(answers, |it| it.answer.clone()))
                .bind(column(answers, |it| it.duration_ms))
                .bind(column(answers, |it| it.fiscal.text.clone()))
                .bind(column(answers, |it| it.fiscal.fn_number.clone()))
                .bind(column(answers, |it| it.fiscal.fd))
                .bind(column(answers, |it| it.fiscal.fpd.clone()))
                .bind(column(answers, |it| it.fiscal.registered_at.clone()))
                .bind(column(answers, |_| Uuid::now_v7()))
                .bind(column(answers, |it| it.event.clone())),
        };
        let written = query.fetch_all(&self.pool).await?.len();
        ensure!(written == answers.len(), "{written} of {} rows changed", answers.len());
        Ok(())
    }
}
