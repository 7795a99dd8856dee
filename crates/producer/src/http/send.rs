//! What a person has sent: what is held or has stopped, and a registered sale anew.
//!
//! What may be done is the ledger's to say, so that the API and the commands cannot differ.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::{Chain, Key, LedgerError, Reselling, Resold, Standing};
use receipt::{Operation, Text, TransactionId};
use serde::Deserialize;
use serde_json::json;

use super::act::{LONGEST_REASON, changed, refused};
use super::auth::Caller;
use super::if_match::IfMatch;
use super::problem::{Fault, Problem};
use super::read::Id;
use super::{Api, body};
use crate::key::Right;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    /// `null` is the same as left out, as in all our contracts.
    next_id: Option<bool>,
    reason: Option<String>,
}

impl Sending {
    fn read(headers: &HeaderMap, bytes: Result<Bytes, BytesRejection>) -> Result<(Key, Option<String>), Problem> {
        let Self { next_id, reason } = body::small(&body::json_bytes(headers, bytes)?)?;
        let key = match next_id {
            Some(true) => Key::Next,
            Some(false) | None => Key::Same,
        };
        let reason = reason
            .map(|reason| reason.trim().to_owned())
            .filter(|reason| !reason.is_empty());
        if reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > LONGEST_REASON)
        {
            let fault = Fault::at(
                "/reason",
                "invalid_value",
                format!("не длиннее {LONGEST_REASON} символов."),
                format!("must not be longer than {LONGEST_REASON} characters."),
            );
            return Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, vec![fault]));
        }
        Ok((key, reason))
    }
}

/// Send a receipt.
///
/// Sends at once what is `held`, what waits for its next try, and what has used up its tries (`failed`, exhausted). With
/// `next_id` what the vendor has certainly refused goes out under its next external id. Everything else is refused (409):
/// a receipt that may be registered is sent again by nobody.
#[utoipa::path(
    post,
    path = "/v1/receipts/{id}/resend",
    operation_id = "resendReceipt",
    tag = "actions",
    params(
        ("id" = String, Path, description = "Id of the receipt.", format = Uuid),
        ("If-Match" = String, Header, description = "`ETag` of the receipt that was looked at, or `*`.", example = "*"),
    ),
    request_body(content = super::contract::Send, description = "How."),
    responses(
        (status = 200, description = "It is `queued` or `retrying`, and goes out at once.", body = super::contract::Receipt,
            headers(("ETag" = String, description = "Version of the receipt."))),
        (status = 400, description = "The body is not JSON."),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
        (status = 409, description = "Its state forbids it; `state` and the text say why."),
        (status = 412, description = "It has changed since it was looked at; nothing was done."),
        (status = 413, description = "The body is longer than 256 KiB."),
        (status = 415, description = "The body says that it is not JSON."),
        (status = 422, description = "The body breaks the contract."),
        (status = 428, description = "`If-Match` is missing."),
    ),
)]
pub(super) async fn resend(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Act)?;
    let (key, reason) = Sending::read(&headers, bytes)?;
    let seen = api.standing(&caller, id, &headers).await?;
    let how = api
        .within(async {
            let how = api.ledger.resending(&seen, key).await;
            how.map_err(|error| Problem::ledger(&error))
        })
        .await?
        .map_err(|why| told(&seen, &why.text()))?;
    let actor = caller.actor(reason.as_deref());
    let done = api
        .within(async { Ok(api.ledger.resend(&seen, &how, api.quiet_time, &actor).await) })
        .await?;
    api.acted(&seen, done).await
}

/// Resell a sale.
///
/// Cancels a registered sale by a receipt of its own and registers it anew, both with the fiscal sign of what they mend. The
/// new sale goes out once the cancelling receipt is registered. A sale is resold once: called again for it, or for a half
/// of its resell, this tells how far things are, and sends a half again that has failed; with `next_id` under its next
/// external id. To begin, name the newest registered sale of its document and its very `ETag`; to resell once more, name
/// the new sale. Refused (409) while the document or its order has another refund.
#[utoipa::path(
    post,
    path = "/v1/receipts/{id}/resell",
    operation_id = "resellReceipt",
    tag = "actions",
    params(
        ("id" = String, Path, description = "Id of the sale, or of a half of its resell.", format = Uuid),
        ("If-Match" = String, Header, description = "`ETag` of the receipt that was looked at. `*` begins nothing: it only \
            tells how far things are, or sends a half again.", example = "\"3\""),
    ),
    request_body(content = super::contract::Send, description = "How."),
    responses(
        (status = 200, description = "It has ended: both halves are registered, and nothing was done.",
            body = super::contract::Resell),
        (status = 202, description = "It was begun, goes on, or is under way.", body = super::contract::Resell),
        (status = 400, description = "The body is not JSON."),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
        (status = 409, description = "It is no registered sale, or not the newest one (`transaction_id` is that); another \
            refund stands in the way; or a half may not be sent again."),
        (status = 412, description = "It has changed since it was looked at; nothing was done."),
        (status = 413, description = "The body is longer than 256 KiB."),
        (status = 415, description = "The body says that it is not JSON."),
        (status = 422, description = "The body breaks the contract."),
        (status = 428, description = "`If-Match` is missing, or is `*` where a resell would begin."),
    ),
)]
pub(super) async fn resell(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Act)?;
    let (key, reason) = Sending::read(&headers, bytes)?;
    let row = api.visible(&caller, id).await?;
    let named = api.seen(TransactionId(row.id)).await?;
    let seen = IfMatch::read(&headers)?;
    let chain = api.resell_to(&named).await?;
    let how = chain.reselling(key).map_err(|why| told(&chain.sale, &why.text()))?;
    match how {
        // A repetition must not begin another one, so nothing begins unseen.
        Reselling::Start { .. } => seen.must_be_exactly(chain.sale.version)?,
        Reselling::Resume(..) => seen.must_be(named.version)?,
        Reselling::UnderWay(_) | Reselling::Ended => {}
    }
    let actor = caller.actor(reason.as_deref());
    let done = api
        .within(async { Ok(api.ledger.resell(&chain, &how, api.quiet_time, &actor).await) })
        .await?;
    match done {
        Ok(Resold::Started { .. } | Resold::Resumed(_) | Resold::UnderWay(_) | Resold::Ended) => {}
        Ok(Resold::Changed) => return api.resold_by_another(&named, key).await,
        Err(LedgerError::ExternalIdTaken) => {
            return Err(refused(
                chain.sale.state,
                "ключ занят другим документом; обратитесь к разработчикам.",
                "the external id belongs to another document; ask the developers.",
            ));
        }
        Err(error) => return Err(Problem::ledger(&error)),
    }
    let sale = chain.sale.subject.transaction_id;
    let now = api
        .within(async { api.ledger.chain_of(sale).await.map_err(|error| Problem::ledger(&error)) })
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(shown(&now, &how))
}

impl Api {
    /// The resell that was begun of what is named; if there is none, the sale that it may begin of, which is the very one
    /// that is named.
    async fn resell_to(&self, named: &Standing) -> Result<Chain, Problem> {
        let subject = &named.subject;
        let no_sale = || {
            refused(
                named.state,
                "перепробить можно только пробитый приход.",
                "only a registered sale is resold.",
            )
        };
        if subject.operation == Operation::Refund {
            return Err(no_sale());
        }
        let own = self
            .within(async {
                let own = self.ledger.resell_of(named).await;
                own.map_err(|error| Problem::ledger(&error))
            })
            .await?;
        if let Some(begun) = own.filter(|own| own.refund.is_some()) {
            return Ok(begun);
        }
        let newest = self
            .within(async {
                let newest = self
                    .ledger
                    .chain(&subject.store, &subject.document, &subject.part)
                    .await;
                newest.map_err(|error| Problem::ledger(&error))
            })
            .await?
            .ok_or_else(no_sale)?;
        let sale = newest.sale.subject.transaction_id;
        if sale == subject.transaction_id {
            return Ok(newest);
        }
        Err(refused(
            named.state,
            &format!("перепробить можно только последний пробитый приход документа: {sale}."),
            &format!("only the newest registered sale of the document is resold: {sale}."),
        )
        .with("transaction_id", sale))
    }

    /// Something had changed. If it is that the same was begun at this moment, that is as good.
    async fn resold_by_another(&self, named: &Standing, key: Key) -> Result<Response, Problem> {
        let chain = self.resell_to(named).await?;
        match chain.reselling(key) {
            Ok(how @ (Reselling::UnderWay(_) | Reselling::Ended)) => Ok(shown(&chain, &how)),
            Ok(Reselling::Start { .. } | Reselling::Resume(..)) | Err(_) => Err(changed()),
        }
    }
}

fn told(seen: &Standing, why: &Text) -> Problem {
    refused(seen.state, &why.ru, &why.en)
}

fn shown(chain: &Chain, how: &Reselling) -> Response {
    let (status, result) = match how {
        Reselling::Start { .. } => (StatusCode::ACCEPTED, "started"),
        Reselling::Resume(..) => (StatusCode::ACCEPTED, "resumed"),
        Reselling::UnderWay(_) => (StatusCode::ACCEPTED, "under_way"),
        Reselling::Ended => (StatusCode::OK, "ended"),
    };
    let half = |half: &Standing| {
        json!({
            "id": half.subject.transaction_id,
            "external_id": half.external_id,
            "state": half.state,
        })
    };
    let body = json!({
        "result": result,
        "sale": half(&chain.sale),
        "refund": chain.refund.as_ref().map(half),
        "sell": chain.sell.as_ref().map(half),
    });
    (status, Json(body)).into_response()
}
