//! What every vendor keeps to, whoever it is: one suite, run through the trait against each vendor's fake, and against a
//! third vendor that exists only here.

mod acme;
mod checkonline;
mod fake;
mod simulated;
mod suite;

/// The whole suite for each vendor.
macro_rules! contract {
    ($($vendor:ident: $fake:expr;)+) => {
        $(mod $vendor {
            use super::suite;

            contract!(@each $fake;
                a_receipt_is_registered_once_and_its_evidence_is_kept,
                the_same_receipt_is_rendered_to_the_same_bytes,
                what_cannot_be_expressed_is_refused_before_anything_is_sent,
                a_refused_receipt_is_for_a_person_and_leaves_no_doubt,
                a_throttled_call_was_not_seen_and_waits_as_asked,
                an_answer_that_comes_too_late_leaves_a_doubt_within_the_longest_call,
                a_call_cut_off_before_or_after_its_effect_leaves_the_same_doubt,
                a_gateways_page_leaves_a_doubt,
                an_unreadable_answer_leaves_a_doubt,
                a_repeated_key_is_recognised_and_makes_no_second_document,
                expired_credentials_cost_no_receipt,
                a_service_that_is_away_has_seen_nothing,
                neither_the_buyer_nor_secrets_are_kept,
                an_id_is_remembered_longer_than_a_receipt_is_retried,
            );
        })+
    };
    (@each $fake:expr; $($property:ident,)+) => {
        $(#[tokio::test]
        async fn $property() {
            suite::$property($fake.await).await;
        })+
    };
}

contract! {
    first: crate::simulated::Simulated::atol();
    second: crate::simulated::Simulated::checkonline();
    third: crate::acme::Acme::start();
}
