//! Errors told in one line.

use std::error::Error;

/// The error and its causes, outermost first: `a: b: c`. For the one place where an error is logged.
pub fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the order is not stored")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Inner;

    #[test]
    fn a_chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "the order is not stored: the disk is full");
    }

    #[test]
    fn an_error_without_a_cause_is_told_alone() {
        assert_eq!(chain(&Inner), "the disk is full");
    }
}
