//! Tokens: one per host and login, shared by the accounts that use the login, got by one caller while the others wait.
//!
//! A token lives 24 hours and its answer does not say how much of that is left; an old one may be given again (v4
//! document 5.23 §4). So the age is only a hint, and a refusal of the token is what counts. A refusal names the token
//! it is about: ten calls that were refused with the same token lead to one new one.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::OnceCell;
use url::Url;

/// Half an hour less than the documented 24, so that a call does not set out with a token about to expire.
const LIFE: Duration = Duration::from_secs((24 * 60 - 30) * 60);

/// The tokens of all accounts of a process, while they are being built.
#[derive(Default)]
pub(crate) struct Tokens {
    sources: HashMap<(Url, String), Arc<TokenSource>>,
}

impl Tokens {
    /// The source that everybody with this address and login shares.
    pub(super) fn source(&mut self, base: &Url, login: &str) -> Arc<TokenSource> {
        self.sources
            .entry((base.clone(), login.to_owned()))
            .or_default()
            .clone()
    }
}

/// A token, and which of the source's flights brought it.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: SecretString,
    flight: u64,
    since: Instant,
}

/// Where the tokens of one login come from.
#[derive(Default)]
pub(super) struct TokenSource {
    current: Mutex<Arc<Flight>>,
}

/// One request for a token. Those who come while it is under way wait for it and share what it brings, a failure too:
/// so nobody waits longer than one call, however many callers there are.
#[derive(Default)]
struct Flight {
    number: u64,
    outcome: OnceCell<Result<Token, Arc<NoToken>>>,
}

/// Why there is no token: what the call for one came to.
pub(super) type NoToken = super::Failed;

impl TokenSource {
    /// A token that is believed to be good; by `fetch` if there is none, or only the `refused` one.
    ///
    /// Dropping the future is safe: if it was the one that fetched, the next waiter fetches.
    pub(super) async fn token<F>(&self, refused: Option<&Token>, fetch: F) -> Result<Token, Arc<NoToken>>
    where
        F: Future<Output = Result<SecretString, NoToken>>,
    {
        let flight = self.flight(refused);
        let outcome = flight.outcome.get_or_init(|| async {
            let value = fetch.await.map_err(Arc::new)?;
            Ok(Token {
                value,
                flight: flight.number,
                since: Instant::now(),
            })
        });
        outcome.await.clone()
    }

    fn flight(&self, refused: Option<&Token>) -> Arc<Flight> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let reusable = match current.outcome.get() {
            None => true,
            Some(Ok(token)) => {
                token.since.elapsed() < LIFE && refused.is_none_or(|refused| refused.flight != token.flight)
            }
            // Whoever was not waiting for it may try again.
            Some(Err(_)) => false,
        };
        if !reusable {
            *current = Arc::new(Flight {
                number: current.number + 1,
                outcome: OnceCell::new(),
            });
        }
        current.clone()
    }
}
