//! Accounts and the tokens given out to them (fact sheet, sections 1.1 and 1.3).

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::simulator::Account;

#[derive(Debug)]
pub(super) struct Tokens {
    accounts: Vec<Account>,
    tokens: HashMap<String, Token>,
    /// The token that each replica of the service gives out for an account.
    current: HashMap<(usize, usize), String>,
}

#[derive(Debug)]
struct Token {
    account: usize,
    expires: Instant,
}

impl Tokens {
    pub(super) fn new(accounts: Vec<Account>) -> Tokens {
        Tokens {
            accounts,
            tokens: HashMap::new(),
            current: HashMap::new(),
        }
    }

    /// The seller whose registers stand in the group.
    pub(super) fn inn_of(&self, group: &str) -> Option<&str> {
        self.accounts
            .iter()
            .find(|account| account.group == group)
            .map(|account| account.inn.as_str())
    }

    /// The account of these credentials.
    pub(super) fn account(&self, login: &str, password: &str) -> Option<usize> {
        self.accounts
            .iter()
            .position(|account| account.login == login && account.password == password)
    }

    /// A token of the account: the one this replica gave out before, while it lives, else `fresh`.
    pub(super) fn grant(&mut self, account: usize, replica: usize, fresh: String, life: Duration) -> String {
        let now = Instant::now();
        if let Some(token) = self.current.get(&(account, replica))
            && self.tokens.get(token).is_some_and(|token| now < token.expires)
        {
            return token.clone();
        }
        self.tokens.insert(
            fresh.clone(),
            Token {
                account,
                expires: now + life,
            },
        );
        self.current.insert((account, replica), fresh.clone());
        fresh
    }

    /// The error code that a token earns in this group, if any.
    pub(super) fn check(&self, token: Option<&str>, group: &str) -> Result<(), i64> {
        let token = token.and_then(|token| self.tokens.get(token)).ok_or(10)?;
        if token.expires <= Instant::now() {
            return Err(11);
        }
        if self.accounts[token.account].group == group {
            Ok(())
        } else {
            Err(20)
        }
    }

    /// Ends the life of every token given out so far. They stay known, so they earn error 11 and not 10.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for token in self.tokens.values_mut() {
            token.expires = now;
        }
    }
}
