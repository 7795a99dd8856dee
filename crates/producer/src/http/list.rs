//! `GET /v1/receipts`.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ledger::{Names, Search, TransactionRow};
use receipt::{Operation, contact};
use serde_json::json;
use uuid::Uuid;

use super::auth::Caller;
use super::problem::{Fault, Problem};
use super::{Api, view};
use crate::key::Right;

const USUAL_LIMIT: i64 = 50;
const LARGEST_LIMIT: i64 = 200;

/// 0000-01-01T00:00:00Z.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// List receipts.
///
/// Newest first. Every filter narrows; `store`, `operation` and `state` may be repeated and then mean any of them. A key
/// sees its stores only. `next` is the cursor of the next page, with the same filters; it is null on the last one.
#[utoipa::path(
    get,
    path = "/v1/receipts",
    operation_id = "listReceipts",
    tag = "receipts",
    params(
        ("store" = Option<Vec<String>>, Query, description = "Code of a store."),
        ("operation" = Option<Vec<super::contract::Operation>>, Query, description = "What is registered."),
        ("state" = Option<Vec<super::contract::State>>, Query, description = "Where it stands."),
        ("from" = Option<String>, Query, format = DateTime, description = "Accepted at this time or later."),
        ("to" = Option<String>, Query, format = DateTime, description = "Accepted before this time."),
        ("document" = Option<String>, Query, description = "Number of the shop's document."),
        ("order" = Option<String>, Query, description = "Number of the shop's order."),
        ("external_id" = Option<String>, Query, description = "The key at the vendor, of any registration, in any case."),
        ("vendor_uuid" = Option<String>, Query, description = "The vendor's own id, of any registration."),
        ("contact" = Option<String>, Query, description = "The buyer's e-mail address or phone. Needs the right \
            `contacts`."),
        ("limit" = Option<i64>, Query, description = "So many at most; 50 if left out.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = super::contract::Page,
            headers(("Link" = Option<String>, description = "The next page, with `rel=\"next\"`."))),
        (status = 400, description = "A parameter is wrong; `errors` names each."),
    ),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Read)?;
    let Ok(Query(pairs)) = query else {
        let fault = Fault::of(
            "",
            "invalid_parameter",
            "строка запроса не читается.",
            "the query cannot be read.",
        );
        return Err(Problem::invalid(StatusCode::BAD_REQUEST, vec![fault]));
    };
    let mut search = read(&pairs)?;
    if search.names.email.is_some() || search.names.phone.is_some() {
        caller.needs(Right::Contacts)?;
    }
    for store in search.stores.iter().flatten() {
        caller.needs_store(store)?;
    }
    search.stores = search.stores.or_else(|| caller.stores());
    let limit = search.limit;
    // One more than is shown tells whether there is a next page.
    search.limit += 1;
    let mut rows = api
        .within(async {
            api.ledger
                .search(&search)
                .await
                .map_err(|error| Problem::ledger(&error))
        })
        .await?;
    let has_more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    if has_more {
        rows.pop();
    }
    let next = rows.last().filter(|_| has_more).map(cursor);
    let body = json!({
        "items": rows.iter().map(view::receipt).collect::<Vec<_>>(),
        "next": next,
    });
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(link) = next.and_then(|next| link(uri.query().unwrap_or_default(), &next)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// The place after a row. Its form is nobody's business, so that it can change.
fn cursor(row: &TransactionRow) -> String {
    URL_SAFE_NO_PAD.encode(row.id.as_bytes())
}

fn place(cursor: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    Uuid::from_slice(&bytes).ok()
}

/// The same filters, from the cursor on.
fn link(query: &str, next: &str) -> Option<HeaderValue> {
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let pairs: Vec<&str> = kept.collect();
    let separator = if pairs.is_empty() { "" } else { "&" };
    let target = format!("/v1/receipts?{}{separator}cursor={next}", pairs.join("&"));
    HeaderValue::try_from(format!("<{target}>; rel=\"next\"")).ok()
}

fn read(pairs: &[(String, String)]) -> Result<Search, Problem> {
    let mut search = Search {
        limit: USUAL_LIMIT,
        ..Search::default()
    };
    let mut faults = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in pairs {
        let may_repeat = matches!(name.as_str(), "store" | "operation" | "state");
        if seen.contains(&name.as_str()) && !may_repeat {
            faults.push(Fault::of(
                name,
                "invalid_parameter",
                "параметр повторяется; оставьте один.",
                "the parameter stands twice; leave one.",
            ));
            continue;
        }
        seen.push(name);
        if let Err((ru, en)) = take(&mut search, name, value) {
            faults.push(Fault::of(name, "invalid_parameter", ru, en));
        }
        if faults.len() >= 20 {
            break;
        }
    }
    if faults.is_empty() {
        Ok(search)
    } else {
        Err(Problem::invalid(StatusCode::BAD_REQUEST, faults))
    }
}

/// Puts one parameter into the search, or says in both languages what is wrong with it.
fn take(search: &mut Search, name: &str, value: &str) -> Result<(), (String, String)> {
    fn rule<T>(read: Option<T>, ru: &str, en: &str) -> Result<T, (String, String)> {
        read.ok_or_else(|| (format!("должно быть: {ru}."), format!("must be {en}.")))
    }
    fn id<T>(read: Result<T, receipt::id::InvalidId>) -> Result<T, (String, String)> {
        read.map_err(|error| {
            (
                format!("неверное значение; нужно: {}.", error.expected),
                format!("must be {}.", error.expected),
            )
        })
    }
    let time = |value: &str| {
        // RFC 3339 knows the years 0 to 9999. jiff reads earlier ones, which Postgres cannot store.
        let read = value.parse::<Timestamp>().ok().filter(|time| *time >= YEAR_ZERO);
        rule(
            read,
            "время RFC 3339, 2026-11-24T00:00:00+03:00",
            "an RFC 3339 time, 2026-11-24T00:00:00+03:00",
        )
    };
    match name {
        "store" => search.stores.get_or_insert_default().push(id(value.parse())?),
        "operation" => {
            let read = value.parse::<Operation>().ok();
            let words = "sell, refund, resell_refund, resell_sell";
            search.operations.push(rule(read, words, words)?);
        }
        "state" => {
            let words: Vec<&str> = receipt::StateName::ALL.iter().map(|state| state.name()).collect();
            let words = words.join(", ");
            search.states.push(rule(value.parse().ok(), &words, &words)?);
        }
        "from" => search.from = Some(time(value)?),
        "to" => search.to = Some(time(value)?),
        "document" => search.names.document = Some(id(value.parse())?),
        "order" => search.names.order = Some(id(value.parse())?),
        "external_id" => search.names.external_id = Some(id(receipt::ExternalId::parse(value))?),
        "vendor_uuid" => search.names.vendor_uuid = Some(id(value.parse())?),
        "contact" => contact_in(&mut search.names, value)?,
        "limit" => {
            let read = value.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
            search.limit = rule(read, "целое число от 1 до 200", "a whole number from 1 to 200")?;
        }
        "cursor" => {
            let read = place(value);
            search.before = Some(rule(read, "next предыдущей страницы", "the next of the page before")?);
        }
        _ => {
            let known = "store, operation, state, from, to, document, order, external_id, vendor_uuid, contact, limit, \
                         cursor";
            return Err((
                format!("такого параметра нет; есть {known}."),
                format!("there is no such parameter; known are {known}."),
            ));
        }
    }
    Ok(())
}

fn contact_in(names: &mut Names, value: &str) -> Result<(), (String, String)> {
    if let Some(email) = contact::email(value) {
        names.email = Some(email);
    } else if let Some(phone) = contact::phone(value) {
        names.phone = Some(phone);
    } else {
        return Err((
            "должен быть адрес электронной почты или телефон.".to_owned(),
            "must be an e-mail address or a phone.".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
        given
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn every_filter_is_read_and_every_fault_is_named_at_once() {
        let search = read(&pairs(&[
            ("store", "main"),
            ("store", "second"),
            ("state", "done"),
            ("from", "2026-11-24T00:00:00+03:00"),
            ("contact", "8 (900) 123-45-67"),
            ("limit", "200"),
        ]))
        .expect("a search");
        assert_eq!(search.stores.map(|stores| stores.len()), Some(2));
        assert_eq!(search.names.phone.as_deref(), Some("+79001234567"));
        assert_eq!(search.limit, 200);
        let wrong = pairs(&[
            ("store", "Main"),
            ("limit", "0"),
            ("cursor", "x"),
            ("limit", "1"),
            ("page", "2"),
            ("document", "a\0b"),
        ]);
        let problem = read(&wrong)
            .err()
            .map(|problem| format!("{problem:?}"))
            .unwrap_or_default();
        assert_eq!(problem.matches("invalid_parameter").count(), 6, "{problem}");
    }

    #[test]
    fn a_time_that_postgres_cannot_store_is_a_fault() {
        let is_read = |value: &str| read(&pairs(&[("from", value)])).is_ok() && read(&pairs(&[("to", value)])).is_ok();
        for good in ["0000-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-30T22:00:00Z"] {
            assert!(is_read(good), "{good}");
        }
        for bad in [
            "-005000-01-01T00:00:00Z",
            "-000001-12-31T23:59:59Z",
            "0000-01-01T00:00:00+14:00",
            "-009999-01-02T01:59:59Z",
            "10000-01-01T00:00:00Z",
            "yesterday",
        ] {
            assert!(!is_read(bad), "{bad}");
        }
    }

    #[test]
    fn the_link_keeps_the_filters_and_replaces_the_cursor() {
        let value = link("state=done&cursor=old&limit=2", "new").expect("a value");
        assert_eq!(value, "</v1/receipts?state=done&limit=2&cursor=new>; rel=\"next\"");
        assert_eq!(
            link("", "new").expect("a value"),
            "</v1/receipts?cursor=new>; rel=\"next\""
        );
    }

    proptest! {
        #[test]
        fn no_query_panics_and_none_brings_what_postgres_cannot_take(
            name in "store|operation|state|from|to|document|order|external_id|vendor_uuid|contact|limit|cursor|[a-z]{0,5}",
            value in any::<String>(),
        ) {
            if let Ok(search) = read(&[(name, value)]) {
                // A backslash is shown as two, and one that a zero follows in the query is no NUL.
                let shown = format!("{search:?}").replace(r"\\", "");
                prop_assert!(!shown.contains(r"\0"), "{}", shown);
            }
        }
    }
}
