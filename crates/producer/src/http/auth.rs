//! Who asks: the key in `Authorization: Bearer …`, what it allows, and how much of it at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ledger::{Actor, Ledger, LedgerError};
use receipt::StoreCode;
use service::pace::Pace;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::problem::Problem;
use super::{Api, Limits};
use crate::key::{Right, ShownKey};

/// How long a key is believed without asking the table again. A revoked one works for as long.
const BELIEVED: Duration = Duration::from_secs(5);

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Caller {
    id: String,
    name: String,
    stores: Option<BTreeSet<StoreCode>>,
    rights: BTreeSet<Right>,
}

impl Caller {
    /// # Errors
    /// 403 when the key does not allow it.
    pub(super) fn needs(&self, right: Right) -> Result<(), Problem> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "right_missing",
            format!("Ключ не даёт права {right}. Нужен ключ, созданный с --right {right}."),
            format!("The key does not have the right {right}. Use a key that was made with --right {right}."),
        )
        .with("right", right.name()))
    }

    pub(super) fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether the key is for this store.
    pub(super) fn sees(&self, store: &str) -> bool {
        self.stores
            .as_ref()
            .is_none_or(|stores| stores.iter().any(|own| own.as_str() == store))
    }

    /// # Errors
    /// 403 when the key is for other stores.
    pub(super) fn needs_store(&self, store: &StoreCode) -> Result<(), Problem> {
        if self.sees(store.as_str()) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "store_forbidden",
            format!("Ключ не для магазина {store}. Нужен ключ, созданный с --store {store}."),
            format!("The key is not for the store {store}. Use a key that was made with --store {store}."),
        ))
    }

    /// The stores that a list may show; `None` is every one.
    pub(super) fn stores(&self) -> Option<Vec<StoreCode>> {
        self.stores.as_ref().map(|stores| stores.iter().cloned().collect())
    }

    pub(super) fn actor(&self, reason: Option<&str>) -> Actor {
        Actor {
            name: format!("{} (key {})", self.name, self.id),
            reason: reason.map(ToOwned::to_owned),
        }
    }
}

/// The keys that were shown lately, and what they are doing.
pub(super) struct Keys {
    ledger: Ledger,
    limits: Limits,
    /// Only keys that there are: strangers leave nothing here.
    known: Mutex<HashMap<String, Known>>,
    /// Of look-ups for keys that nobody vouches for: each costs a round trip to the database.
    strangers: Pace,
}

#[derive(Clone)]
struct Known {
    secret_hash: [u8; 32],
    caller: Arc<Caller>,
    load: Arc<Load>,
    read_at: Instant,
}

struct Load {
    pace: Pace,
    places: Semaphore,
}

impl Keys {
    pub(super) fn new(ledger: Ledger, limits: Limits) -> Self {
        Self {
            strangers: Pace::new(limits.key_rate),
            ledger,
            limits,
            known: Mutex::new(HashMap::new()),
        }
    }

    async fn find(&self, headers: &HeaderMap) -> Result<Known, Problem> {
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthorized(
                "key_missing",
                "Нужен ключ: Authorization: Bearer kassa_… Его создаёт команда kassa key add.",
                "A key is needed: Authorization: Bearer kassa_… The command kassa key add makes one.",
            ));
        };
        let unknown = || {
            Problem::unauthorized(
                "key_unknown",
                "Такого ключа нет, или он отозван. Новый создаёт команда kassa key add.",
                "There is no such key, or it was revoked. The command kassa key add makes a new one.",
            )
        };
        let text = given.to_str().ok().and_then(|text| text.split_once(' '));
        let shown = text
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, key)| ShownKey::read(key.trim()))
            .ok_or_else(unknown)?;
        let remembered = self.remembered(shown.id);
        let is_right = |known: &Known| bool::from(known.secret_hash.ct_eq(&shown.secret_hash));
        let believed = remembered
            .as_ref()
            .filter(|known| known.read_at.elapsed() < BELIEVED)
            .cloned();
        let known = match believed {
            Some(known) => Some(known),
            // Whoever has shown the right secret before is held to the pace of that key, and no flood of strangers
            // keeps it out.
            None if remembered.as_ref().is_some_and(is_right) || self.strangers.allows() => {
                self.read(&shown).await.map_err(|error| Problem::ledger(&error))?
            }
            None => return Err(too_many_strangers()),
        };
        known.filter(is_right).ok_or_else(unknown)
    }

    fn remembered(&self, id: &str) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned()
    }

    async fn read(&self, shown: &ShownKey<'_>) -> Result<Option<Known>, LedgerError> {
        let live = self.ledger.live_api_key(shown.id, &shown.secret_hash).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(live) = live else {
            known.remove(shown.id);
            return Ok(None);
        };
        let corrupt = |what: &str| LedgerError::Corrupt {
            id: format!("key {}", shown.id),
            what: what.to_owned(),
        };
        let secret_hash = <[u8; 32]>::try_from(live.secret_hash).map_err(|_| corrupt("its digest"))?;
        let stores = live
            .stores
            .map(|stores| stores.iter().map(|store| StoreCode::parse(store)).collect())
            .transpose()
            .map_err(|_| corrupt("its stores"))?;
        let caller = Caller {
            id: shown.id.to_owned(),
            name: live.name,
            stores,
            // A right of a later version means nothing to this one.
            rights: live.rights.iter().filter_map(|right| right.parse().ok()).collect(),
        };
        let load = known.get(shown.id).map_or_else(
            || {
                Arc::new(Load {
                    pace: Pace::new(self.limits.key_rate),
                    places: Semaphore::new(self.limits.key_requests.min(Semaphore::MAX_PERMITS)),
                })
            },
            |known| Arc::clone(&known.load),
        );
        let fresh = Known {
            secret_hash,
            caller: Arc::new(caller),
            load,
            read_at: Instant::now(),
        };
        known.insert(shown.id.to_owned(), fresh.clone());
        Ok(Some(fresh))
    }
}

/// Lets a request in whose key is known and not too busy. Every handler behind it finds the [`Caller`].
pub(super) async fn admit(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let known = match api.within(api.keys.find(request.headers())).await {
        Ok(known) => known,
        Err(problem) => return problem.into_response(),
    };
    if !known.load.pace.allows() {
        let problem = too_many(
            "too_many_requests",
            "Слишком много запросов с этим ключом. Повторите позже.",
            "Too many requests with this key. Come again later.",
        );
        return problem.into_response();
    }
    let Ok(_place) = known.load.places.try_acquire() else {
        let problem = too_many(
            "too_many_at_once",
            "Слишком много одновременных запросов с этим ключом. Дождитесь ответов.",
            "Too many requests with this key at once. Wait for their answers.",
        );
        return problem.into_response();
    };
    request.extensions_mut().insert(Arc::clone(&known.caller));
    next.run(request).await
}

fn too_many_strangers() -> Problem {
    too_many(
        "too_many_unknown_keys",
        "Слишком много запросов с ключами, которых здесь ещё не видели. Повторите позже.",
        "Too many requests with keys that were not seen here before. Come again later.",
    )
}

fn too_many(code: &'static str, ru: &str, en: &str) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, ru, en).retry_after(1)
}
