//! What a person, or a program of theirs, does to a receipt: cancel, resolve, refresh.
//!
//! An action names the version that was looked at (`If-Match`), and the ledger's statement names it again.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::DateTime;
use ledger::{Acted, Finding, LedgerError, Standing};
use receipt::found::{Checked, Expected, FoundDocument};
use receipt::intake::moscow;
use receipt::{Doubt, Money, Operation, StateName, TransactionId};
use serde::Deserialize;

use super::auth::Caller;
use super::if_match::IfMatch;
use super::problem::{Fault, Problem};
use super::read::Id;
use super::{Api, body, view};
use crate::key::Right;

pub(super) const LONGEST_REASON: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancelling {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolving {
    outcome: Outcome,
    r#fn: Option<String>,
    fd: Option<String>,
    fpd: Option<String>,
    registered_at: Option<String>,
    total: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Registered,
    NotRegistered,
}

/// Cancel a receipt.
///
/// Closes what is certainly not registered and shall not be. Refused (409) while the vendor has it or may have it.
#[utoipa::path(
    post,
    path = "/v1/receipts/{id}/cancel",
    operation_id = "cancelReceipt",
    tag = "actions",
    params(
        ("id" = String, Path, description = "Id of the receipt.", format = Uuid),
        ("If-Match" = String, Header, description = "`ETag` of the receipt that was looked at, or `*`.", example = "*"),
    ),
    request_body(content = super::contract::Cancel, description = "Why."),
    responses(
        (status = 200, description = "Closed.", body = super::contract::Receipt,
            headers(("ETag" = String, description = "Version of the receipt."))),
        (status = 400, description = "The body is not JSON."),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
        (status = 409, description = "Its state forbids it; `state` and the text say why and what to do instead. The new \
            sale of a resell is closed with its cancelling receipt, which `transaction_id` names."),
        (status = 412, description = "It has changed since it was looked at; nothing was done."),
        (status = 413, description = "The body is longer than 256 KiB."),
        (status = 415, description = "The body says that it is not JSON."),
        (status = 422, description = "The body breaks the contract."),
        (status = 428, description = "`If-Match` is missing."),
    ),
)]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Act)?;
    let Cancelling { reason } = body::small(&body::json_bytes(&headers, bytes)?)?;
    let reason = a_reason(Some(&reason))?;
    let seen = api.standing(&caller, id, &headers).await?;
    if let Some(problem) = no_cancelling(&seen) {
        return Err(problem);
    }
    let actor = caller.actor(Some(&reason));
    let done = api.within(async { Ok(api.ledger.cancel(&seen, &actor).await) }).await?;
    api.acted(&seen, done).await
}

/// Say what became of a receipt.
///
/// Ends an unknown outcome by a person's word, after the receipt was looked up at the vendor. `registered` needs the
/// fiscal document; `not_registered` needs a reason and sends the receipt again under its next key.
#[utoipa::path(
    post,
    path = "/v1/receipts/{id}/resolve",
    operation_id = "resolveReceipt",
    tag = "actions",
    params(
        ("id" = String, Path, description = "Id of the receipt.", format = Uuid),
        ("If-Match" = String, Header, description = "`ETag` of the receipt that was looked at, or `*`.", example = "*"),
    ),
    request_body(content = super::contract::Resolve, description = "What was found."),
    responses(
        (status = 200, description = "Taken: the receipt is `done`, or `retrying`.", body = super::contract::Receipt,
            headers(("ETag" = String, description = "Version of the receipt."))),
        (status = 400, description = "The body is not JSON."),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
        (status = 409, description = "Its outcome is not unknown, or the document is another receipt's."),
        (status = 412, description = "It has changed since it was looked at; nothing was done."),
        (status = 413, description = "The body is longer than 256 KiB."),
        (status = 415, description = "The body says that it is not JSON."),
        (status = 422, description = "The body breaks the contract, or the document cannot be this receipt's."),
        (status = 428, description = "`If-Match` is missing."),
    ),
)]
pub(super) async fn resolve(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Resolve)?;
    let given: Resolving = body::small(&body::json_bytes(&headers, bytes)?)?;
    let reason = match (given.outcome, &given.reason) {
        (Outcome::Registered, None) => None,
        (Outcome::Registered | Outcome::NotRegistered, reason) => Some(a_reason(reason.as_deref())?),
    };
    let typed = match given.outcome {
        Outcome::Registered => Some(document(&given)?),
        Outcome::NotRegistered => {
            no_document(&given)?;
            None
        }
    };
    let seen = api.standing(&caller, id, &headers).await?;
    if seen.state != StateName::Unknown {
        return Err(refused(
            seen.state,
            "разрешают только чек с неизвестным исходом.",
            "only an unknown outcome is resolved.",
        ));
    }
    let finding = match typed {
        Some(found) => api.registered(&found, &seen).await?,
        None => Finding::NotRegistered {
            next: seen.external_id.next_generation().map_err(|error| {
                let why = error.to_string();
                refused(seen.state, &why, &why)
            })?,
        },
    };
    let actor = caller.actor(reason.as_deref());
    let done = api
        .within(async { Ok(api.ledger.resolve(&seen, &finding, &actor).await) })
        .await?;
    api.acted(&seen, done).await
}

/// Ask the vendor now.
///
/// Makes the next question about a receipt that waits at the vendor due at once, and stands in its history. However often it is called, the vendor
/// is asked once for all that came before. A vendor that answers every registration at once has nothing to ask about:
/// its receipts never wait, and this is refused (409).
#[utoipa::path(
    post,
    path = "/v1/receipts/{id}/refresh",
    operation_id = "refreshReceipt",
    tag = "actions",
    params(
        ("id" = String, Path, description = "Id of the receipt.", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the receipt that was looked at; not needed.",
            example = "*"),
    ),
    responses(
        (status = 202, description = "It will be asked about at once.", body = super::contract::Receipt,
            headers(("ETag" = String, description = "Version of the receipt."))),
        (status = 404, description = "There is no such receipt, or the key is not for its store."),
        (status = 409, description = "The vendor has nothing of it that can be asked about."),
        (status = 412, description = "It has changed since it was looked at; nothing was done."),
    ),
)]
pub(super) async fn refresh(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.needs(Right::Act)?;
    let row = api.visible(&caller, id).await?;
    if headers.contains_key(header::IF_MATCH) {
        IfMatch::read(&headers)?.must_be(row.version)?;
    }
    let seen = api.seen(TransactionId(row.id)).await?;
    if !api.directory.vendors.contains_key(&seen.account) {
        return Err(refused(
            seen.state,
            "учётная запись чека больше не настроена.",
            "the receipt's account is no longer configured.",
        ));
    }
    let actor = caller.actor(None);
    let asked = api
        .within(async {
            let asked = api.ledger.refresh(seen.subject.transaction_id, &actor).await;
            asked.map_err(|error| Problem::ledger(&error))
        })
        .await?;
    if asked.is_empty() {
        return Err(nothing_to_ask(&seen));
    }
    Ok(view::answer(StatusCode::ACCEPTED, &row, view::receipt(&row), []))
}

impl Api {
    pub(super) async fn seen(&self, id: TransactionId) -> Result<Standing, Problem> {
        self.within(async { self.ledger.standing(id).await.map_err(|error| Problem::ledger(&error)) })
            .await?
            .ok_or_else(Problem::not_found)
    }

    /// Where the receipt stands, if the caller may see it and has looked at this very version.
    pub(super) async fn standing(&self, caller: &Caller, id: Id, headers: &HeaderMap) -> Result<Standing, Problem> {
        let row = self.visible(caller, id).await?;
        let seen = self.seen(TransactionId(row.id)).await?;
        IfMatch::read(headers)?.must_be(seen.version)?;
        Ok(seen)
    }

    /// What a person found, if it can be this receipt's.
    async fn registered(&self, found: &FoundDocument, seen: &Standing) -> Result<Finding, Problem> {
        let expected = Expected {
            total: seen.total,
            accepted_at: seen.accepted_at,
            sent_at: seen.sent_at,
            now: Timestamp::now(),
            registers: moscow(),
            settlement_sign: seen.subject.operation.tag_value(),
        };
        let Checked {
            document,
            time_is_assumed,
        } = found.check(&expected).map_err(|faults| {
            let faults = faults.into_iter().map(|fault| Fault {
                pointer: Some(format!("/{}", fault.field)),
                parameter: None,
                code: "wrong_document",
                message: fault.message,
            });
            Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, faults.collect())
        })?;
        let holder = self
            .within(async {
                let holder = self.ledger.holder_of(&document, seen.subject.transaction_id).await;
                holder.map_err(|error| Problem::ledger(&error))
            })
            .await?;
        if holder.is_some() {
            return Err(refused(
                seen.state,
                "этот документ уже принадлежит другому чеку; у двух чеков не бывает одного документа.",
                "this document is another receipt's; two receipts never share one.",
            ));
        }
        Ok(Finding::Registered {
            document: Box::new(document),
            time_is_assumed,
        })
    }

    pub(super) async fn acted(&self, seen: &Standing, done: Result<Acted, LedgerError>) -> Result<Response, Problem> {
        match done {
            Ok(Acted::Done) => {}
            Ok(Acted::Changed) => return Err(changed()),
            Err(LedgerError::ExternalIdTaken) => {
                return Err(refused(
                    seen.state,
                    "следующий ключ занят другим документом; обратитесь к разработчикам.",
                    "the next external id belongs to another document; ask the developers.",
                ));
            }
            Err(error) => return Err(Problem::ledger(&error)),
        }
        let id = seen.subject.transaction_id;
        let row = self
            .within(async {
                self.ledger
                    .transaction(id)
                    .await
                    .map_err(|error| Problem::ledger(&error))
            })
            .await?
            .ok_or_else(Problem::not_found)?;
        Ok(view::answer(StatusCode::OK, &row, view::receipt(&row), []))
    }
}

pub(super) fn changed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        "Чек изменился с тех пор, как вы на него смотрели; ничего не сделано. Посмотрите ещё раз.",
        "The receipt has changed since you looked at it, and nothing was done. Look again.",
    )
}

pub(super) fn refused(state: StateName, ru: &str, en: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "refused",
        format!("Состояние чека — {state}: {ru}"),
        format!("The receipt is {state}: {en}"),
    )
    .with("state", state)
}

fn nothing_to_ask(seen: &Standing) -> Problem {
    refused(
        seen.state,
        "спрашивать можно только о чеке, который ждёт у поставщика с его номером; остальное kassa ведёт сама, а \
         поставщика, который отвечает сразу, спрашивать не о чем.",
        "only a receipt that waits at the vendor under the vendor's own id can be asked about; kassa goes on with the \
         others by itself, and a vendor that answers at once has nothing to be asked.",
    )
}

/// Why it cannot be closed, and what to do instead.
fn no_cancelling(seen: &Standing) -> Option<Problem> {
    let at_vendor = seen.is_at_vendor || seen.doubt == Doubt::Stands;
    if let (StateName::Held, Operation::ResellSell, Some((refund, _))) =
        (seen.state, seen.subject.operation, seen.parent)
    {
        let problem = refused(
            seen.state,
            &format!("он закрывается вместе со своим отменяющим чеком {refund}: закройте тот."),
            &format!("it is closed together with its cancelling receipt {refund}: close that one."),
        );
        return Some(problem.with("transaction_id", refund));
    }
    let (ru, en) = match seen.state {
        StateName::Held | StateName::Queued | StateName::Retrying | StateName::Failed if !at_vendor => return None,
        StateName::Held | StateName::Queued | StateName::Retrying | StateName::Failed => (
            "он может быть у поставщика. Дождитесь исхода.",
            "the vendor may have it. Wait for its outcome.",
        ),
        StateName::Sending => (
            "он отправляется. Посмотрите через минуту.",
            "it is being sent. Look again in a moment.",
        ),
        StateName::Waiting => (
            "он у поставщика. Дождитесь исхода.",
            "it is at the vendor. Wait for its outcome.",
        ),
        StateName::Unknown => (
            "он может быть пробит. Найдите его у поставщика и сообщите исход действием resolve.",
            "it may be registered. Look it up at the vendor and say what you found by the action resolve.",
        ),
        StateName::Done => (
            "он пробит. Исправить его может только возврат.",
            "it is registered. Only a refund corrects it.",
        ),
        StateName::Cancelled => ("он закрыт раньше.", "it was closed before."),
    };
    Some(refused(seen.state, ru, en))
}

fn a_reason(given: Option<&str>) -> Result<String, Problem> {
    let reason = given.unwrap_or_default().trim();
    if (1..=LONGEST_REASON).contains(&reason.chars().count()) {
        return Ok(reason.to_owned());
    }
    let fault = Fault::at(
        "/reason",
        "missing_field",
        format!("нужна причина, от 1 до {LONGEST_REASON} символов."),
        format!("a reason is needed, of 1 to {LONGEST_REASON} characters."),
    );
    Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, vec![fault]))
}

/// The document as it was typed.
fn document(given: &Resolving) -> Result<FoundDocument, Problem> {
    let mut faults = Vec::new();
    for (pointer, value) in [("/fn", &given.r#fn), ("/fd", &given.fd), ("/fpd", &given.fpd)] {
        if value.is_none() {
            faults.push(Fault::at(
                pointer,
                "missing_field",
                "нужно для пробитого чека.",
                "is needed for a registered receipt.",
            ));
        }
    }
    let registered_at = given.registered_at.as_ref().map(|text| text.parse::<DateTime>());
    if let Some(Err(_)) = &registered_at {
        faults.push(Fault::at(
            "/registered_at",
            "invalid_value",
            "время, как на чеке, без пояса: 2026-11-23T12:30:00.",
            "must be the time on the receipt, without a zone: 2026-11-23T12:30:00.",
        ));
    }
    let total = given.total.as_ref().map(|text| Money::parse(text));
    if let Some(Err(_)) = &total {
        faults.push(Fault::at(
            "/total",
            "invalid_value",
            "сумма в рублях: 1200.00.",
            "must be a sum in roubles: 1200.00.",
        ));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, faults));
    }
    let typed = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(FoundDocument {
        fn_number: typed(&given.r#fn),
        fd: typed(&given.fd),
        fpd: typed(&given.fpd),
        registered_at: registered_at.and_then(Result::ok),
        total: total.and_then(Result::ok),
    })
}

/// What is not registered has no document.
fn no_document(given: &Resolving) -> Result<(), Problem> {
    let fields = [
        ("/fn", &given.r#fn),
        ("/fd", &given.fd),
        ("/fpd", &given.fpd),
        ("/registered_at", &given.registered_at),
        ("/total", &given.total),
    ];
    let faults: Vec<Fault> = fields
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(pointer, _)| {
            Fault::at(
                pointer,
                "unknown_field",
                "не бывает у непробитого чека.",
                "does not go with a receipt that is not registered.",
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, faults))
    }
}
