//! `GET /v1/receipts/{id}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ledger::{LedgerError, TransactionRow};
use receipt::TransactionId;
use serde_json::{Value, json};

use super::auth::Caller;
use super::problem::Problem;
use super::{Api, view};
use crate::key::Right;

/// The id in the path, as far as it can be read.
pub(super) type Id = Result<Path<String>, PathRejection>;

/// Read a receipt.
///
/// With everything that is known about it: the frozen content, its registrations, its tries, what was told about it and
/// what people did. The buyer is shown only to keys with the right `contacts`.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}",
    operation_id = "readReceipt",
    tag = "receipts",
    params(("id" = String, Path, description = "Id of the receipt, as kassa gave it.", format = Uuid)),
    responses(
        (status = 200, description = "The receipt.", body = super::contract::History,
            headers(("ETag" = String, description = "Version of the receipt."))),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
    ),
)]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
) -> Result<Response, Problem> {
    caller.needs(Right::Read)?;
    let row = api.visible(&caller, id).await?;
    let history = api
        .within(async {
            let history = api.history(row.clone()).await;
            history.map_err(|error| Problem::ledger(&error))
        })
        .await?;
    let body = shown(&row, history, &caller);
    Ok(view::answer(StatusCode::OK, &row, body, []))
}

impl Api {
    /// The receipt with this id, if the caller may see it.
    pub(super) async fn visible(&self, caller: &Caller, id: Id) -> Result<TransactionRow, Problem> {
        let id = transaction_id(id)?;
        let row = self
            .within(async {
                self.ledger
                    .transaction(id)
                    .await
                    .map_err(|error| Problem::ledger(&error))
            })
            .await?;
        row.filter(|row| caller.sees(&row.store)).ok_or_else(Problem::not_found)
    }

    async fn history(&self, row: TransactionRow) -> Result<Value, LedgerError> {
        let events = self.ledger.events_of(TransactionId(row.id)).await?;
        let details = self.ledger.details(row).await?;
        Ok(json!({
            "content": details.body,
            "registrations": details.registrations,
            "attempts": details.attempts,
            "events": events,
            "actions": details.actions,
            "parent": details.parent.as_ref().map(relative),
            "children": details.children.iter().map(relative).collect::<Vec<_>>(),
        }))
    }
}

pub(super) fn transaction_id(id: Id) -> Result<TransactionId, Problem> {
    // What is no id is the id of nothing.
    id.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(Problem::not_found)
}

fn relative(row: &TransactionRow) -> Value {
    json!({
        "id": row.id,
        "operation": row.operation,
        "external_id": row.external_id,
        "state": row.state,
    })
}

fn shown(row: &TransactionRow, history: Value, caller: &Caller) -> Value {
    let mut body = view::receipt(row);
    if let (Value::Object(body), Value::Object(history)) = (&mut body, history) {
        body.extend(history);
    }
    if !caller.has(Right::Contacts)
        && let Some(content) = body.get_mut("content").and_then(Value::as_object_mut)
    {
        content.remove("buyer");
    }
    body
}
